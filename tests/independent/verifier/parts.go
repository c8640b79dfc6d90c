package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
)

// The first bytes of entries that are not whole records; no other entry begins with them.
var continued = []byte(`{"v":2,`)

// The most bytes of entries, with their lengths, in one frame of a log.
const maxFrame = 32 << 20

// An assembly joins records that are larger than an entry, or that share members: the parts of a record come right
// before a head, which has the digest of the whole text, and a shared member comes before the records that refer to it
// by digest.
type assembly struct {
	parts  []string
	digest string
	// Shared members by how many entries come before their own.
	shared map[int64]sharedMember
	// How many entries were taken, and how many bytes they have.
	taken, bytes int64
}

type sharedMember struct {
	begin  int64
	name   string
	value  []byte
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
	Member string          `json:"member"`
	Value  json.RawMessage `json:"value"`
	Shared map[string]struct {
		Back   int64  `json:"back"`
		SHA256 string `json:"sha256"`
	} `json:"shared"`
}

// take returns the whole text of the record that an entry completes, or nil for a part or a shared member.
func (a *assembly) take(entry []byte) ([]byte, error) {
	at, begin := a.taken, a.bytes
	a.taken, a.bytes = a.taken+1, a.bytes+2+int64(len(entry))
	text, first, err := a.join(entry, at)
	if err != nil || !bytes.HasPrefix(text, continued) {
		return text, err
	}
	var read continuedEntry
	if err := json.Unmarshal(text, &read); err != nil {
		return nil, err
	}
	if read.Kind == "shared" {
		return nil, a.remember(at, begin, read)
	}
	return a.putIn(text, first, read)
}

// join gives the text of a record and the number of its first entry; nothing for a part.
func (a *assembly) join(entry []byte, at int64) ([]byte, int64, error) {
	if !bytes.HasPrefix(entry, continued) {
		if len(a.parts) > 0 {
			return nil, 0, errors.New("parts that no record stands for")
		}
		return entry, at, nil
	}
	var read continuedEntry
	if err := json.Unmarshal(entry, &read); err != nil {
		return nil, 0, err
	}
	if read.Kind == "part" {
		if read.Part == nil || *read.Part != len(a.parts) || *read.Part >= read.Parts {
			return nil, 0, errors.New("a part is not the next one")
		}
		if len(a.parts) > 0 && a.digest != read.Digest {
			return nil, 0, errors.New("a part is one of another record")
		}
		a.parts, a.digest = append(a.parts, read.Text), read.Digest
		return nil, 0, nil
	}
	if read.Whole == nil && len(a.parts) == 0 {
		return entry, at, nil
	}
	text := strings.Join(a.parts, "")
	count := len(a.parts)
	a.parts = nil
	if read.Whole == nil || read.Whole.Parts != count || read.Whole.Bytes != len(text) {
		return nil, 0, errors.New("a record has not the parts that it names")
	}
	if digest := hexDigest([]byte(text)); digest != read.Whole.SHA256 {
		return nil, 0, fmt.Errorf("the parts have the digest %s, the record names %s", digest, read.Whole.SHA256)
	}
	return []byte(text), at - int64(count), nil
}

// remember keeps a shared member, and forgets those that cannot be in one frame with the next entry.
func (a *assembly) remember(at, begin int64, read continuedEntry) error {
	if read.Member == "" || len(read.Value) == 0 {
		return errors.New("a shared member has no name or no value")
	}
	if a.shared == nil {
		a.shared = map[int64]sharedMember{}
	}
	for at, shared := range a.shared {
		if a.bytes-shared.begin > maxFrame {
			delete(a.shared, at)
		}
	}
	a.shared[at] = sharedMember{begin, read.Member, read.Value, hexDigest(read.Value)}
	return nil
}

// putIn gives the whole text of a record whose first entry has that number: with the members that it shares.
func (a *assembly) putIn(text []byte, first int64, read continuedEntry) ([]byte, error) {
	if len(read.Shared) == 0 {
		return nil, errors.New("an entry is neither a part nor a record")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(read.Shared))
	for name := range read.Shared {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		reference := read.Shared[name]
		shared, found := a.shared[first-reference.Back]
		if !found || a.bytes-shared.begin > maxFrame {
			return nil, fmt.Errorf("the shared `%s` is missing", name)
		}
		if shared.name != name || shared.digest != reference.SHA256 {
			return nil, fmt.Errorf("the shared `%s` is another one", name)
		}
		own, found := members[name]
		if !found || !hasNames(shared.value, own) {
			return nil, fmt.Errorf("the shared `%s` has other names than the record", name)
		}
		members[name] = shared.value
	}
	delete(members, "shared")
	members["v"] = json.RawMessage("1")
	return json.Marshal(members)
}

// hasNames says whether a value begins with the members that a record has in its place, if it has any.
func hasNames(value, names []byte) bool {
	if string(names) == "null" {
		return true
	}
	names = bytes.TrimSuffix(names, []byte("}"))
	return len(value) > len(names) && bytes.HasPrefix(value, names) && bytes.IndexByte([]byte(",}"), value[len(names)]) >= 0
}

func hexDigest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
