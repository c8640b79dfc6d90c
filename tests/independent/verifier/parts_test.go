package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// inParts returns the entries of a record whose text is split into parts of length bytes.
func inParts(text string, length int) [][]byte {
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	count := (len(text) + length - 1) / length
	var entries [][]byte
	for n := 0; n < count; n++ {
		end := (n + 1) * length
		if end > len(text) {
			end = len(text)
		}
		piece, _ := json.Marshal(text[n*length : end])
		entries = append(entries, []byte(fmt.Sprintf(
			`{"v":2,"kind":"part","digest":"%s","part":%d,"parts":%d,"text":%s}`, digest, n, count, piece)))
	}
	return append(entries, []byte(fmt.Sprintf(
		`{"v":2,"kind":"decision","whole":{"bytes":%d,"parts":%d,"sha256":"%s"}}`, len(text), count, digest)))
}

func TestARecordInPartsIsReadWhole(t *testing.T) {
	text := fmt.Sprintf(`{"v":1,"note":"%s"}`, strings.Repeat("\\u0001é", 5_000))
	var whole assembly
	entries := inParts(text, 10_001)
	for n, entry := range entries {
		found, err := whole.take(entry)
		if err != nil {
			t.Fatal(err)
		}
		if n == len(entries)-1 && string(found) != text {
			t.Errorf("is %q", found)
		}
	}
}

func TestALogWhoseRecordHasOtherPartsIsRefused(t *testing.T) {
	text := `{"v":1,"note":"` + strings.Repeat("x", 300) + `"}`
	plain := []byte(`{"v":1}`)
	whole := func(entries ...[]byte) [][]byte { return append(append([][]byte{plain}, entries...), plain) }
	parts := inParts(text, 100)
	log := newTestLogOf(whole(parts...))
	if _, err := output("log", log.vkey, log.serve(t)); err != nil {
		t.Fatal(err)
	}
	changed := append([][]byte{}, parts...)
	changed[1] = []byte(strings.Replace(string(parts[1]), "xx", "xy", 1))
	for why, entries := range map[string][][]byte{
		"has not the parts": whole(parts[len(parts)-1]),
		"the digest":        whole(changed...),
		"not the next one":  whole(parts[1:]...),
		"no record stands":  whole(parts[:len(parts)-1]...),
	} {
		log := newTestLogOf(entries)
		refused(t, why, "log", log.vkey, log.serve(t))
	}
}
