package main

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const origin = "example.com/audit"

// A testLog is a small log in memory, which can be told to lie.
type testLog struct {
	records [][]byte
	hashes  hashStore
	size    int64
	// Sizes for which there were checkpoints, beside the present one.
	earlier []int64
	signer  note.Signer
	vkey    string
	// Rewrites what is answered; nil answers the truth.
	lie func(path string, body []byte) []byte
	// What all answers say that they are, if not what they are.
	contentType string
	// Called with each path before it is answered.
	before func(path string)
}

func newTestLog(size int64) *testLog {
	var records [][]byte
	for n := int64(0); n < size; n++ {
		records = append(records, []byte(fmt.Sprintf(`{"v":1,"n":%d}`, n)))
	}
	return newTestLogOf(records)
}

func newTestLogOf(records [][]byte) *testLog {
	log := &testLog{size: int64(len(records))}
	for n, record := range records {
		log.records = append(log.records, record)
		if err := log.hashes.grow(int64(n), tlog.RecordHash(record)); err != nil {
			panic(err)
		}
	}
	log.signer, log.vkey = testKey(origin, 1)
	return log
}

// testKey is a log's key, the same on every run.
func testKey(name string, number byte) (note.Signer, string) {
	seed := bytes.Repeat([]byte{number}, ed25519.SeedSize)
	public := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		panic(err)
	}
	id := strings.Split(vkey, "+")[1]
	secret := base64.StdEncoding.EncodeToString(append([]byte{1}, seed...))
	signer, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", name, id, secret))
	if err != nil {
		panic(err)
	}
	return signer, vkey
}

func (l *testLog) root(size int64) tlog.Hash {
	if size == 0 {
		return emptyRoot
	}
	root, err := tlog.TreeHash(size, l.hashes)
	if err != nil {
		panic(err)
	}
	return root
}

func (l *testLog) checkpoint(size int64) []byte {
	return sign(fmt.Sprintf("%s\n%d\n%s\n", origin, size, l.root(size)), l.signer)
}

func sign(text string, signers ...note.Signer) []byte {
	message, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		panic(err)
	}
	return message
}

func (l *testLog) proof(index int64) []byte {
	path, err := tlog.ProveRecord(l.size, index, l.hashes)
	if err != nil {
		panic(err)
	}
	text := fmt.Sprintf("%s\nindex %d\n", proofHeader, index)
	for _, hash := range path {
		text += hash.String() + "\n"
	}
	return append([]byte(text+"\n"), l.checkpoint(l.size)...)
}

func (l *testLog) consistency(from, to int64) tlog.TreeProof {
	proof, err := tlog.ProveTree(to, from, l.hashes)
	if err != nil {
		panic(err)
	}
	return proof
}

func (l *testLog) serve(t *testing.T) string {
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	return server.URL + "/v1/audit"
}

func (l *testLog) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	path := strings.TrimPrefix(request.URL.RequestURI(), "/v1/audit")
	if l.before != nil {
		l.before(path)
	}
	body, contentType := l.answer(path, request)
	if body == nil {
		http.NotFound(answer, request)
		return
	}
	if l.lie != nil {
		body = l.lie(path, append([]byte{}, body...))
	}
	if l.contentType != "" {
		contentType = l.contentType
	}
	answer.Header().Set("Content-Type", contentType)
	if strings.HasPrefix(path, "/log/tile/entries/") && strings.Contains(request.Header.Get("Accept-Encoding"), "gzip") {
		answer.Header().Set("Content-Encoding", "gzip")
		compressor := gzip.NewWriter(answer)
		defer compressor.Close()
		compressor.Write(body)
		return
	}
	answer.Write(body)
}

// answer returns nil for what is not there, among it all partial tiles for which there was no checkpoint.
func (l *testLog) answer(path string, request *http.Request) ([]byte, string) {
	switch {
	case path == "/log/checkpoint":
		return l.checkpoint(l.size), plainText
	case strings.HasPrefix(path, "/log/tile/"):
		return l.tile(strings.TrimPrefix(path, "/log/tile/")), octets
	case strings.HasPrefix(path, "/entries/") && strings.HasSuffix(path, "/proof"):
		return l.proof(number(strings.TrimSuffix(strings.TrimPrefix(path, "/entries/"), "/proof"))), plainText
	case strings.HasPrefix(path, "/entries/"):
		return l.records[number(strings.TrimPrefix(path, "/entries/"))], "application/json"
	case strings.HasPrefix(path, "/consistency?"):
		query := request.URL.Query()
		from, to := number(query.Get("from")), number(query.Get("to"))
		body, _ := json.Marshal(map[string]interface{}{"from": from, "to": to, "proof": l.consistency(from, to)})
		return body, "application/json"
	}
	return nil, ""
}

// tile finds a C2SP path among those that it spells itself, so that it shares no parser with what it tests.
func (l *testLog) tile(path string) []byte {
	for _, size := range append([]int64{l.size}, l.earlier...) {
		for level := 0; size>>(8*level) > 0; level++ {
			for n := int64(0); n*256 < size>>(8*level); n++ {
				width := size>>(8*level) - n*256
				if width > 256 {
					width = 256
				}
				// A partial tile goes once the full one is there.
				if width < 256 && l.size>>(8*level) >= (n+1)*256 {
					continue
				}
				switch {
				case path == fmt.Sprintf("%d/%s", level, spell(n, width)):
					data, err := tlog.ReadTileData(tlog.Tile{H: 8, L: level, N: n, W: int(width)}, l.hashes)
					if err != nil {
						panic(err)
					}
					return data
				case level == 0 && path == "entries/"+spell(n, width):
					return bundle(l.records[n*256 : n*256+width])
				}
			}
		}
	}
	return nil
}

func spell(n, width int64) string {
	spelt := fmt.Sprintf("%03d", n%1000)
	if n >= 1000 {
		spelt = fmt.Sprintf("x%03d/%s", n/1000, spelt)
	}
	if width < 256 {
		spelt += fmt.Sprintf(".p/%d", width)
	}
	return spelt
}

func bundle(records [][]byte) []byte {
	var data []byte
	for _, record := range records {
		var length [2]byte
		binary.BigEndian.PutUint16(length[:], uint16(len(record)))
		data = append(append(data, length[:]...), record...)
	}
	return data
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}
