//go:build otlp_1_7

package main

import "go.opentelemetry.io/collector/pdata/pprofile"

func sampleTypeOf(profile pprofile.Profile) pprofile.ValueType {
	return profile.SampleType().AppendEmpty()
}

// A stack is a part of the profile's list of locations.
func setStack(sample pprofile.Sample, profile pprofile.Profile, t *tables, stack []frame) {
	sample.SetLocationsStartIndex(int32(profile.LocationIndices().Len()))
	sample.SetLocationsLength(int32(len(stack)))
	for _, frame := range stack {
		profile.LocationIndices().Append(t.location(frame))
	}
}

func setValues(sample pprofile.Sample, values []int64) { sample.Value().FromRaw(values) }

func putStacks(pprofile.ProfilesDictionary, *tables) {}

func setKey(to pprofile.Attribute, a attribute) { to.SetKey(a.name) }
