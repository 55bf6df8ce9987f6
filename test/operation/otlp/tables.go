package main

// The tables of an export as they are in every version since 1.8: number 0 of each says that there is none. 1.7 has no stacks, and each profile a list
// of its locations.

type tables struct {
	strings   []string
	functions []function
	mappings  []mapping
	locations []location
	// Each a list of locations, from the leaf.
	stacks     [][]int32
	attributes []attribute
	links      []byte
}

type function struct{ name, file int32 }
type mapping struct{ file, buildID int32 }
type location struct {
	mapping, function int32
	line              int64
	address           uint64
}
type attribute struct {
	key   int32
	name  string
	value string
}

func newTables() *tables {
	return &tables{strings: []string{""}, functions: []function{{}}, mappings: []mapping{{}}, locations: []location{{}}, stacks: [][]int32{nil}, attributes: []attribute{{}}, links: []byte{0}}
}

func numberIn[T comparable](list *[]T, item T) int32 {
	for i, each := range *list {
		if each == item {
			return int32(i)
		}
	}
	*list = append(*list, item)
	return int32(len(*list) - 1)
}

func (t *tables) text(text string) int32 { return numberIn(&t.strings, text) }
func (t *tables) link(span byte) int32   { return numberIn(&t.links, span) }
func (t *tables) attribute(pair [2]string) int32 {
	return numberIn(&t.attributes, attribute{key: t.text(pair[0]), name: pair[0], value: pair[1]})
}

func (t *tables) location(f frame) int32 {
	if f.function == "" {
		id := t.attribute([2]string{"process.executable.build_id.gnu", buildID})
		return numberIn(&t.locations, location{mapping: numberIn(&t.mappings, mapping{file: t.text(library), buildID: id}), address: f.address})
	}
	return numberIn(&t.locations, location{function: numberIn(&t.functions, function{name: t.text(f.function), file: t.text(f.file)}), line: f.line})
}

func (t *tables) stack(frames []frame) int32 {
	var locations []int32
	for _, frame := range frames {
		locations = append(locations, t.location(frame))
	}
	for i, each := range t.stacks {
		if i > 0 && equal(each, locations) {
			return int32(i)
		}
	}
	t.stacks = append(t.stacks, locations)
	return int32(len(t.stacks) - 1)
}

func equal(a, b []int32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
