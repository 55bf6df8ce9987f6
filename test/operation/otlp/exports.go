package main

import "time"

// What is exported, in no version's words.

type export []resource

type resource struct {
	attributes      [][2]string
	scopeAttributes [][2]string
	profiles        []profile
}

type profile struct {
	sampleType, sampleUnit string
	periodType, periodUnit string
	period                 int64
	timeNs                 uint64
	samples                []sample
}

type sample struct {
	// From the leaf.
	stack      []frame
	values     []int64
	timesNs    []uint64
	attributes [][2]string
	// 0: no link.
	spanID byte
}

// One without a function is an address in the library.
type frame struct {
	function, file string
	line           int64
	address        uint64
}

const library, buildID = "/usr/lib/libshop.so", "1f2e3d4c"

func exportNamed(what, service string) export {
	main := frame{function: "main.main", file: "main.go", line: 10}
	work := frame{function: "main.work", file: "work.go", line: 20}
	address := frame{address: 0x7777}
	cpu := func(samples ...sample) profile {
		return profile{sampleType: "samples", sampleUnit: "count", periodType: "cpu", periodUnit: "nanoseconds", period: 10_000_000, timeNs: uint64(time.Now().UnixNano()), samples: samples}
	}
	at := uint64(time.Now().UnixNano())
	named := [][2]string{{"service.name", service}, {"region", "eu"}}
	switch what {
	case "services": // three resources, and a service that one of the samples has for itself
		return export{
			{attributes: named, scopeAttributes: [][2]string{{"team", "a"}}, profiles: []profile{cpu(
				sample{stack: []frame{work, main}, values: []int64{3}, timesNs: []uint64{at, at + 1}, attributes: [][2]string{{"thread.name", "t1"}}},
				sample{stack: []frame{address, main}, values: []int64{2}, timesNs: []uint64{at + 2, at + 3}, attributes: [][2]string{{"thread.name", "t2"}}, spanID: 7},
				sample{stack: []frame{work}, values: []int64{5}, timesNs: []uint64{at + 4, at + 5}, attributes: [][2]string{{"service.name", service + "-own"}}},
			)}},
			{attributes: [][2]string{{"process.executable.name", service}}, profiles: []profile{
				{sampleType: "off_cpu", sampleUnit: "nanoseconds", timeNs: at, samples: []sample{{stack: []frame{main}, values: []int64{1000}, timesNs: []uint64{at, at + 1}, attributes: [][2]string{{"thread.name", "t1"}}}}},
			}},
			{attributes: [][2]string{{"region", service}}, profiles: []profile{cpu(sample{stack: []frame{main}, values: []int64{7}, timesNs: []uint64{at, at + 1}, attributes: [][2]string{{"thread.name", "t1"}}})}},
		}
	case "timestamps": // no values: as many as there are timestamps
		return export{{attributes: named, profiles: []profile{cpu(sample{stack: []frame{work, main}, timesNs: []uint64{at, at + 1, at + 2}})}}}
	case "time-0": // a profile of 1970 is one without a time
		timeless := cpu(sample{stack: []frame{work, main}, values: []int64{4}})
		timeless.timeNs = 0
		return export{{attributes: named, profiles: []profile{timeless}}}
	case "one-refused": // one profile whose sample has neither values nor timestamps, and one that is right
		return export{{attributes: named, profiles: []profile{cpu(sample{stack: []frame{work}}), cpu(sample{stack: []frame{main}, values: []int64{6}})}}}
	case "all-refused":
		return export{{attributes: named, profiles: []profile{cpu(sample{stack: []frame{work}})}}}
	case "old": // long before what a node takes
		old := cpu(sample{stack: []frame{work}, values: []int64{1}})
		old.timeNs = uint64(time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
		return export{{attributes: named, profiles: []profile{old}}}
	case "nothing":
		return export{}
	default:
		panic("no export is called " + what)
	}
}
