package main

import (
	"fmt"
	"strings"
	"testing"
)

const (
	sharedSubject = `{"type":"Agent","id":"a","properties":{"team":"red"}}`
	sharedContext = `{"note":"<xx>"}`
)

// shared is the entry of a shared member.
func shared(name, value string) []byte {
	return []byte(fmt.Sprintf(
		`{"v":2,"id":"","ts":"","kind":"shared","caller":"acgs","member":"%s","value":%s}`, name, value))
}

// referring is a record that shares two members, which come so many entries before it.
func referring(subject, context int) string {
	return fmt.Sprintf(`{"v":2,"kind":"decision","subject":{"type":"Agent","id":"a"},"context":null,"decision":true,`+
		`"shared":{"subject":{"back":%d,"sha256":"%s"},"context":{"back":%d,"sha256":"%s"}}}`,
		subject, hexDigest([]byte(sharedSubject)), context, hexDigest([]byte(sharedContext)))
}

func TestARecordThatSharesMembersIsReadWhole(t *testing.T) {
	entries := [][]byte{[]byte(`{"v":1}`), shared("subject", sharedSubject)}
	entries = append(entries, inParts(string(shared("context", sharedContext)), 50)...)
	second := len(entries) - 1
	entries = append(entries, []byte(referring(second, 1)))
	entries = append(entries, inParts(referring(second+1, 2), 50)...)
	var whole assembly
	var records []string
	for _, entry := range entries {
		found, err := whole.take(entry)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(found), "decision") {
			records = append(records, strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(found)))
		}
	}
	expected := fmt.Sprintf(
		`{"context":%s,"decision":true,"kind":"decision","subject":%s,"v":1}`, sharedContext, sharedSubject)
	if len(records) != 2 || records[0] != expected || records[1] != expected {
		t.Errorf("are %q", records)
	}
}

func TestALogWhoseRecordSharesOtherMembersIsRefused(t *testing.T) {
	plain := []byte(`{"v":1}`)
	subject, context := shared("subject", sharedSubject), shared("context", sharedContext)
	good := referring(2, 1)
	log := newTestLogOf([][]byte{plain, subject, context, []byte(good), []byte(referring(3, 2))})
	if _, err := output("log", log.vkey, log.serve(t)); err != nil {
		t.Fatal(err)
	}
	other := shared("context", strings.Replace(sharedContext, "xx", "xy", 1))
	for _, wrong := range []struct {
		why     string
		entries [][]byte
	}{
		{"`context` is another one", [][]byte{subject, other, []byte(good)}},
		{"`context` is another one", [][]byte{subject, shared("action", sharedContext), []byte(good)}},
		{"is another one", [][]byte{context, subject, []byte(good)}},
		{"`subject` is missing", [][]byte{context, []byte(good)}},
		{"is missing", [][]byte{subject, context, plain, []byte(good)}},
		{"is missing", [][]byte{subject, context, []byte(referring(2, 0))}},
		{"is missing", [][]byte{subject, context, []byte(referring(9, 1))}},
		{"has other names", [][]byte{subject, context, []byte(strings.Replace(good, `"id":"a"`, `"id":"b"`, 1))}},
		{"has other names", [][]byte{subject, context, []byte(strings.Replace(good, `"context":null,`, "", 1))}},
		{"neither a part nor a record", [][]byte{subject, context, []byte(strings.Replace(good, `"shared"`, `"Sharex"`, 1))}},
	} {
		log := newTestLogOf(append([][]byte{plain}, wrong.entries...))
		refused(t, wrong.why, "log", log.vkey, log.serve(t))
	}
	// A frame has room for no more than this.
	var whole assembly
	for _, entry := range [][]byte{subject, context} {
		if _, err := whole.take(entry); err != nil {
			t.Fatal(err)
		}
	}
	whole.bytes += maxFrame
	if _, err := whole.take([]byte(good)); err == nil || !strings.Contains(err.Error(), "is missing") {
		t.Error(err)
	}
}
