//go:build otlp_1_7 || otlp_1_8

package main

import "go.opentelemetry.io/collector/pdata/pprofile"

func newSample(profile pprofile.Profile) pprofile.Sample { return profile.Sample().AppendEmpty() }

func newLine(location pprofile.Location) pprofile.Line { return location.Line().AppendEmpty() }
