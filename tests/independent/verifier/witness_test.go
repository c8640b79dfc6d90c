package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	witnessName = "witness.example/w1"
	witnessSeed = "2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a"
)

// A testWitness is a witness that is asked over HTTP.
type testWitness struct {
	t    *testing.T
	url  string
	vkey string
	said *bytes.Buffer
}

func newTestWitness(t *testing.T, logVkeys string) *testWitness {
	t.Helper()
	said := &bytes.Buffer{}
	witness, err := newWitness(witnessName, witnessSeed, logVkeys, said)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(witness)
	t.Cleanup(server.Close)
	return &testWitness{t, server.URL, witness.signer.vkey(), said}
}

func (w *testWitness) add(body string) (int, string, string) {
	w.t.Helper()
	answer, err := http.Post(w.url+"/add-checkpoint", "text/plain", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, string(text), answer.Header.Get("Content-Type")
}

func request(old int64, proof tlog.TreeProof, checkpoint []byte) string {
	text := fmt.Sprintf("old %d\n", old)
	for _, hash := range proof {
		text += hash.String() + "\n"
	}
	return text + "\n" + string(checkpoint)
}

func TestAWitnessCosignsWhatGrows(t *testing.T) {
	log := newTestLog(300)
	witness := newTestWitness(t, log.vkey)
	var latest []byte
	old := int64(0)
	for _, size := range []int64{0, 1, 1, 7, 256, 300} {
		var proof tlog.TreeProof
		if old > 0 {
			proof = log.consistency(old, size)
		}
		status, line, _ := witness.add(request(old, proof, log.checkpoint(size)))
		if status != 200 || !strings.HasPrefix(line, "— "+witnessName+" ") || strings.Count(line, "\n") != 1 {
			t.Fatalf("size %d: %d %s", size, status, line)
		}
		latest = append(log.checkpoint(size), line...)
		signed, at, err := openCosigned(latest, log.vkey, witness.vkey)
		if err != nil || signed.tree.N != size || at == 0 {
			t.Fatal(signed, at, err)
		}
		old = size
	}
	want := "cosigned 0\ncosigned 1\ncosigned 1\ncosigned 7\ncosigned 256\ncosigned 300\n"
	if witness.said.String() != want {
		t.Errorf("said %q", witness.said)
	}
	answer, err := http.Get(fmt.Sprintf("%s/%x/checkpoint", witness.url, sha256.Sum256([]byte(origin))))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if shown, _ := io.ReadAll(answer.Body); !bytes.Equal(shown, latest) {
		t.Errorf("shows %s", shown)
	}
}

func TestAWitnessRefuses(t *testing.T) {
	log := newTestLog(300)
	signer := log.signer
	foreign, _ := testKey(origin, 2)
	text := func(size int64, root tlog.Hash) string { return fmt.Sprintf("%s\n%d\n%s\n", origin, size, root) }
	good := string(log.checkpoint(300))
	proof := log.consistency(200, 300)
	broken := append(tlog.TreeProof{}, proof...)
	broken[0][0] ^= 1
	long := make(tlog.TreeProof, 64)
	elsewhere := strings.Replace(text(300, log.root(300)), origin, "example.com/x", 1)
	for _, c := range []struct {
		name   string
		body   string
		status int
	}{
		{"nothing", "", 400},
		{"no old size", "\n" + good, 400},
		{"a leading zero", "old 0200\n\n" + good, 400},
		{"a negative size", "old -1\n\n" + good, 400},
		{"a malformed hash", "old 200\nAAAA\n\n" + good, 400},
		{"64 hashes", request(200, long, []byte(good)), 400},
		{"no note", "old 200\n\nhello", 400},
		{"a larger old size", request(301, nil, []byte(good)), 400},
		{"an unknown origin", request(200, proof, sign(elsewhere, signer)), 404},
		{"a foreign key", request(200, proof, sign(text(300, log.root(300)), foreign)), 403},
		{"a broken signature", request(200, proof, []byte(strings.Replace(good, "\n300\n", "\n299\n", 1))), 403},
		{"a smaller old size", request(199, log.consistency(199, 300), []byte(good)), 409},
		{"no old size yet", request(0, nil, []byte(good)), 409},
		{"a broken proof", request(200, broken, []byte(good)), 422},
		{"no proof", request(200, nil, []byte(good)), 422},
		{"another root at the same size", request(200, nil, sign(text(200, log.root(201)), signer)), 422},
		{"a proof at the same size", request(200, proof, log.checkpoint(200)), 422},
	} {
		witness := newTestWitness(t, log.vkey)
		if status, answer, _ := witness.add(request(0, nil, log.checkpoint(200))); status != 200 {
			t.Fatal(status, answer)
		}
		status, answer, contentType := witness.add(c.body)
		if status != c.status {
			t.Errorf("%s: %d %s", c.name, status, answer)
		}
		if status == 409 && (answer != "200\n" || contentType != "text/x.tlog.size") {
			t.Errorf("%s: %q of type %s", c.name, answer, contentType)
		}
		if said := witness.said.String(); !strings.HasPrefix(said, fmt.Sprintf("cosigned 200\nrefused %d ", c.status)) {
			t.Errorf("%s: said %q", c.name, said)
		}
		// What was refused left no trace.
		if status, answer, _ := witness.add(request(200, proof, []byte(good))); status != 200 {
			t.Errorf("%s: afterwards %d %s", c.name, status, answer)
		}
	}
}

func TestAWitnessRefusesAFalseStart(t *testing.T) {
	log := newTestLog(300)
	witness := newTestWitness(t, log.vkey)
	for _, body := range []string{
		request(0, nil, sign(fmt.Sprintf("%s\n0\n%s\n", origin, log.root(1)), log.signer)),
		request(0, log.consistency(200, 300), log.checkpoint(300)),
	} {
		if status, answer, _ := witness.add(body); status != 422 {
			t.Error(status, answer)
		}
	}
	answer, err := http.Get(fmt.Sprintf("%s/%x/checkpoint", witness.url, sha256.Sum256([]byte(origin))))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != 404 {
		t.Error("shows a checkpoint that it never cosigned:", answer.Status)
	}
}

func TestBothSignaturesAreDemanded(t *testing.T) {
	log := newTestLog(9)
	text := fmt.Sprintf("%s\n9\n%s\n", origin, log.root(9))
	seed := bytes.Repeat([]byte{42}, 32)
	witness := newCosigner(witnessName, seed)
	both := sign(text, log.signer, witness)
	out, err := output("cosigned", log.vkey, witness.vkey(), save(t, both))
	root := log.root(9)
	if err != nil || !strings.HasPrefix(out, fmt.Sprintf("%s 9 %x 1", origin, root[:])) {
		t.Error(out, err)
	}
	_, foreign := testKey(origin, 2)
	other := newCosigner(witnessName, bytes.Repeat([]byte{43}, 32))
	refused(t, "no verifiable signatures", "cosigned", foreign, witness.vkey(), save(t, both))
	refused(t, "no verifiable signatures", "cosigned", log.vkey, other.vkey(), save(t, both))
	refused(t, "no verifiable signatures", "cosigned", log.vkey, witness.vkey(), save(t, sign(text, log.signer)))
	refused(t, "no verifiable signatures", "cosigned", log.vkey, witness.vkey(), save(t, sign(text, witness)))
	refused(t, "not of type 0x04", "cosigned", log.vkey, log.vkey, save(t, both))
	// The signed time is not open to change.
	moved := sign(text, log.signer, &clock{witness, 1700000000, 1700000001})
	refused(t, "invalid signature", "cosigned", log.vkey, witness.vkey(), save(t, moved))
	// And no time is no time.
	timeless := sign(text, log.signer, &clock{witness, 0, 0})
	refused(t, "invalid signature", "cosigned", log.vkey, witness.vkey(), save(t, timeless))
	good := sign(text, log.signer, &clock{witness, 1700000000, 1700000000})
	out, err = output("cosigned", log.vkey, witness.vkey(), save(t, good))
	if err != nil || !strings.HasSuffix(out, " 1700000000\n") {
		t.Error(out, err)
	}
}

// A clock is a cosigner that signs one time and shows one.
type clock struct {
	*cosigner
	signed, shown uint64
}

func (c *clock) Sign(text []byte) ([]byte, error) {
	var shown [8]byte
	binary.BigEndian.PutUint64(shown[:], c.shown)
	return append(shown[:], ed25519.Sign(c.private, cosignedMessage(c.signed, text))...), nil
}
