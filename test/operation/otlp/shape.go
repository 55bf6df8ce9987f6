package main

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// The parts of an export that the versions of the library shape alike. What they do not stands in *_1_8.go and *_1_9.go, which are named by the version of
// OTLP that changed it.

func profilesOf(from export) pprofile.Profiles {
	all, t := pprofile.NewProfiles(), newTables()
	for _, each := range from {
		resource := all.ResourceProfiles().AppendEmpty()
		for _, pair := range each.attributes {
			resource.Resource().Attributes().PutStr(pair[0], pair[1])
		}
		scope := resource.ScopeProfiles().AppendEmpty()
		for _, pair := range each.scopeAttributes {
			scope.Scope().Attributes().PutStr(pair[0], pair[1])
		}
		for _, p := range each.profiles {
			to := scope.Profiles().AppendEmpty()
			kind := sampleTypeOf(to)
			kind.SetTypeStrindex(t.text(p.sampleType))
			kind.SetUnitStrindex(t.text(p.sampleUnit))
			to.PeriodType().SetTypeStrindex(t.text(p.periodType))
			to.PeriodType().SetUnitStrindex(t.text(p.periodUnit))
			to.SetPeriod(p.period)
			to.SetTime(pcommon.Timestamp(p.timeNs))
			for _, s := range p.samples {
				sample := newSample(to)
				setStack(sample, to, t, s.stack)
				setValues(sample, s.values)
				sample.TimestampsUnixNano().FromRaw(s.timesNs)
				for _, pair := range s.attributes {
					sample.AttributeIndices().Append(t.attribute(pair))
				}
				if s.spanID != 0 {
					sample.SetLinkIndex(t.link(s.spanID))
				}
			}
		}
	}
	if len(from) == 0 {
		return all
	}
	to := all.Dictionary()
	to.StringTable().FromRaw(t.strings)
	for _, f := range t.functions {
		function := to.FunctionTable().AppendEmpty()
		function.SetNameStrindex(f.name)
		function.SetFilenameStrindex(f.file)
	}
	for _, m := range t.mappings {
		mapping := to.MappingTable().AppendEmpty()
		mapping.SetFilenameStrindex(m.file)
		if m.buildID != 0 {
			mapping.AttributeIndices().Append(m.buildID)
		}
	}
	for _, l := range t.locations {
		location := to.LocationTable().AppendEmpty()
		location.SetAddress(l.address)
		if l.mapping != 0 {
			location.SetMappingIndex(l.mapping)
		}
		if l.function != 0 {
			line := newLine(location)
			line.SetFunctionIndex(l.function)
			line.SetLine(l.line)
		}
	}
	putStacks(to, t)
	for _, a := range t.attributes {
		attribute := to.AttributeTable().AppendEmpty()
		setKey(attribute, a)
		attribute.Value().SetStr(a.value)
	}
	for _, span := range t.links {
		link := to.LinkTable().AppendEmpty()
		if span != 0 {
			link.SetSpanID(pcommon.SpanID{0, 0, 0, 0, 0, 0, 0, span})
			link.SetTraceID(pcommon.TraceID{15: span})
		}
	}
	return all
}
