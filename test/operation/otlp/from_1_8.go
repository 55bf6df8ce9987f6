//go:build !otlp_1_7

package main

import "go.opentelemetry.io/collector/pdata/pprofile"

func sampleTypeOf(profile pprofile.Profile) pprofile.ValueType { return profile.SampleType() }

func setStack(sample pprofile.Sample, _ pprofile.Profile, t *tables, stack []frame) {
	sample.SetStackIndex(t.stack(stack))
}

func setValues(sample pprofile.Sample, values []int64) { sample.Values().FromRaw(values) }

func putStacks(to pprofile.ProfilesDictionary, t *tables) {
	for _, locations := range t.stacks {
		to.StackTable().AppendEmpty().LocationIndices().FromRaw(locations)
	}
}

func setKey(to pprofile.KeyValueAndUnit, a attribute) { to.SetKeyStrindex(a.key) }
