package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// The first bytes of parts and of the heads of records in parts; no other entry begins with them.
var continued = []byte(`{"v":2,`)

// An assembly joins records that are larger than an entry: their parts come right before a head, which has the digest
// of the whole text.
type assembly struct {
	parts  []string
	digest string
}

type continuedEntry struct {
	Kind   string `json:"kind"`
	Digest string `json:"digest"`
	Part   *int   `json:"part"`
	Parts  int    `json:"parts"`
	Text   string `json:"text"`
	Whole  *struct {
		Bytes  int    `json:"bytes"`
		Parts  int    `json:"parts"`
		SHA256 string `json:"sha256"`
	} `json:"whole"`
}

// take returns the whole text of the record that an entry completes, or nil for a part.
func (a *assembly) take(entry []byte) ([]byte, error) {
	if !bytes.HasPrefix(entry, continued) {
		if len(a.parts) > 0 {
			return nil, errors.New("parts that no record stands for")
		}
		return entry, nil
	}
	var read continuedEntry
	if err := json.Unmarshal(entry, &read); err != nil {
		return nil, err
	}
	if read.Kind == "part" {
		if read.Part == nil || *read.Part != len(a.parts) || *read.Part >= read.Parts {
			return nil, errors.New("a part is not the next one")
		}
		if len(a.parts) > 0 && a.digest != read.Digest {
			return nil, errors.New("a part is one of another record")
		}
		a.parts, a.digest = append(a.parts, read.Text), read.Digest
		return nil, nil
	}
	text := strings.Join(a.parts, "")
	count := len(a.parts)
	a.parts = nil
	if read.Whole == nil || read.Whole.Parts != count || read.Whole.Bytes != len(text) {
		return nil, errors.New("a record has not the parts that it names")
	}
	sum := sha256.Sum256([]byte(text))
	if digest := hex.EncodeToString(sum[:]); digest != read.Whole.SHA256 {
		return nil, fmt.Errorf("the parts have the digest %s, the record names %s", digest, read.Whole.SHA256)
	}
	return []byte(text), nil
}
