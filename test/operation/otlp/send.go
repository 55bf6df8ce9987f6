// Sends exports of OTLP profiles with the collector's own library, pdata/pprofile, in whatever version of it this is built with: the shape of an
// export changed between them (shape.go). Built and run by otlp-clients.test.mjs.
//
//	send URL SERVICE FORM WHAT
//
// FORM is proto, proto-gzip, json, json-gzip, grpc or grpc-gzip. WHAT names an export of exports.go. It prints the reply as one line of JSON.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
)

type reply struct {
	// Of HTTP; 0 for gRPC.
	Status      int    `json:"status"`
	ContentType string `json:"contentType"`
	// Of gRPC, and of a refusal over HTTP.
	Code     string `json:"code"`
	Message  string `json:"message"`
	Rejected int64  `json:"rejected"`
}

func main() {
	url, service, form, what := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	request := pprofileotlp.NewExportRequestFromProfiles(profilesOf(exportNamed(what, service)))
	var answer reply
	if strings.HasPrefix(form, "grpc") {
		answer = overGrpc(strings.TrimPrefix(url, "http://"), request, form == "grpc-gzip")
	} else {
		answer = overHttp(url, request, form)
	}
	must(json.NewEncoder(os.Stdout).Encode(answer))
}

func overGrpc(address string, request pprofileotlp.ExportRequest, isGzip bool) reply {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err)
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var options []grpc.CallOption
	if isGzip {
		options = append(options, grpc.UseCompressor("gzip"))
	}
	response, err := pprofileotlp.NewGRPCClient(connection).Export(ctx, request, options...)
	if err != nil {
		return reply{Code: status.Code(err).String(), Message: status.Convert(err).Message()}
	}
	return reply{Code: "OK", Message: response.PartialSuccess().ErrorMessage(), Rejected: response.PartialSuccess().RejectedProfiles()}
}

func overHttp(url string, request pprofileotlp.ExportRequest, form string) reply {
	isJson := strings.HasPrefix(form, "json")
	marshal, contentType := request.MarshalProto, "application/x-protobuf"
	if isJson {
		marshal, contentType = request.MarshalJSON, "application/json"
	}
	body, err := marshal()
	must(err)
	if strings.HasSuffix(form, "gzip") {
		var packed bytes.Buffer
		writer := gzip.NewWriter(&packed)
		_, err = writer.Write(body)
		must(err)
		must(writer.Close())
		body = packed.Bytes()
	}
	post, err := http.NewRequest(http.MethodPost, url+"/v1development/profiles", bytes.NewReader(body))
	must(err)
	post.Header.Set("Content-Type", contentType)
	if strings.HasSuffix(form, "gzip") {
		post.Header.Set("Content-Encoding", "gzip")
	}
	got, err := http.DefaultClient.Do(post)
	must(err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	must(err)
	answer := reply{Status: got.StatusCode, ContentType: got.Header.Get("Content-Type")}
	if got.StatusCode != http.StatusOK {
		answer.Message = string(text)
		return answer
	}
	response := pprofileotlp.NewExportResponse()
	if isJson {
		must(response.UnmarshalJSON(text))
	} else {
		must(response.UnmarshalProto(text))
	}
	answer.Message, answer.Rejected = response.PartialSuccess().ErrorMessage(), response.PartialSuccess().RejectedProfiles()
	return answer
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
