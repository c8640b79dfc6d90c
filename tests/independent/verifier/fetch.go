package main

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"
)

// A bundle of 256 entries of 65,535 bytes each is the longest answer that a log has.
const maxAnswer = 256*(2+65535) + 1

// A site is a log's HTTP interface under one URL.
type site struct {
	base   string
	client *http.Client
}

func newSite(base string) *site {
	return &site{strings.TrimRight(base, "/"), &http.Client{Timeout: 30 * time.Second}}
}

// A statusError is an answer other than 200.
type statusError struct {
	path   string
	status int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("`%s` answers %d", e.path, e.status)
}

// get fetches one path; contentType may be empty where the specifications name none.
func (s *site) get(path, contentType string) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, s.base+path, nil)
	if err != nil {
		return nil, err
	}
	// For a log that shows itself only to those who may see it, such as `Bearer ...`.
	if credentials := os.Getenv("VERIFIER_AUTHORIZATION"); credentials != "" {
		request.Header.Set("Authorization", credentials)
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("`%s`: %w", path, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, &statusError{path, answer.StatusCode}
	}
	if contentType != "" && !sameType(contentType, answer.Header.Get("Content-Type")) {
		return nil, fmt.Errorf("`%s` is of type `%s` instead of `%s`", path, answer.Header.Get("Content-Type"), contentType)
	}
	return body, nil
}

// sameType compares without regard to spaces, case and order.
func sameType(want, got string) bool {
	wantType, wantParameters, _ := mime.ParseMediaType(want)
	gotType, gotParameters, err := mime.ParseMediaType(got)
	return err == nil && wantType == gotType && len(wantParameters) == len(gotParameters) &&
		strings.EqualFold(wantParameters["charset"], gotParameters["charset"])
}
