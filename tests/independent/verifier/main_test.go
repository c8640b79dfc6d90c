package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// output runs a command line.
func output(args ...string) (string, error) {
	var out bytes.Buffer
	err := run(args, &out)
	return out.String(), err
}

// refused demands an error that says so.
func refused(t *testing.T, why string, args ...string) {
	t.Helper()
	out, err := output(args...)
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("error %v instead of %q", err, why)
	}
	if out != "" {
		t.Errorf("says %q all the same", out)
	}
}

func save(t *testing.T, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAnHonestLogIsAccepted(t *testing.T) {
	for _, size := range []int64{0, 1, 2, 3, 7, 8, 255, 256, 257, 299, 300, 512, 1000, 65535, 65536, 70000} {
		log := newTestLog(size)
		out, err := output("log", log.vkey, log.serve(t))
		if err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		root := log.root(size)
		want := fmt.Sprintf("ok size=%d root=%x entries=%d inclusion=", size, root[:], size)
		if !strings.HasPrefix(out, want) || strings.Count(out, "\n") != 1 {
			t.Errorf("says %q", out)
		}
	}
}

func TestALogWithMoreThanAThousandTilesIsAccepted(t *testing.T) {
	log := newTestLog(256*1000 + 1)
	asked := false
	log.before = func(path string) { asked = asked || path == "/log/tile/entries/x001/000.p/1" }
	if _, err := output("log", log.vkey, log.serve(t)); err != nil || !asked {
		t.Fatal(err, asked)
	}
}

func TestALogThatGrowsMeanwhileIsAccepted(t *testing.T) {
	log := newTestLog(700)
	log.size = 400
	// From then on some partial tiles of size 400 are gone, and proofs are for size 700.
	log.before = func(path string) {
		if path != "/log/checkpoint" {
			log.size, log.earlier = 700, []int64{400}
		}
	}
	out, err := output("log", log.vkey, log.serve(t))
	if err != nil || !strings.HasPrefix(out, "ok size=400 ") {
		t.Fatal(out, err)
	}
}

func TestALyingLogIsRefused(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(body []byte) []byte {
			body[at] ^= 1
			return body
		}
	}
	other64 := func(at int) func([]byte) []byte {
		return func(body []byte) []byte {
			if body[at] == 'A' {
				body[at] = 'B'
			} else {
				body[at] = 'A'
			}
			return body
		}
	}
	cut := func(body []byte) []byte { return body[:len(body)-1] }
	foreign, _ := testKey(origin, 2)
	other, otherKey := testKey("example.com/other", 3)
	ours, vkey := testKey(origin, 1)
	resign := func(text string, signer note.Signer) func([]byte) []byte {
		return func([]byte) []byte { return sign(text, signer) }
	}
	head := func(size int64) string { return fmt.Sprintf("%s\n%d\n%s\n", origin, size, newTestLog(600).root(600)) }
	type lies map[string]func([]byte) []byte
	for _, c := range []struct {
		lies lies
		why  string
	}{
		{lies{"/log/tile/entries/000": flip(7)}, "entry 0 hashes to"},
		{lies{"/log/tile/entries/002.p/88": cut}, "ends inside an entry"},
		{lies{"/log/tile/entries/001": func(body []byte) []byte { return append(body, 0, 0) }}, "257 entries instead of 256"},
		{lies{"/log/tile/0/000": flip(0)}, "hashes to"},
		{lies{"/log/tile/0/001": cut}, "bytes instead of 8192"},
		{lies{"/log/tile/1/000.p/2": flip(40)}, "inconsistent tile"},
		// A record and its leaf both changed: a reader of tiles alone can miss it.
		{lies{"/log/tile/entries/001": flip(7), "/log/tile/0/001": changedLeaf}, ""},
		{lies{"/entries/599": flip(3)}, "is not its leaf"},
		{lies{"/entries/599": cut}, "is not its leaf"},
		{lies{"/entries/256/proof": other64(len(proofHeader) + len("\nindex 256\n") + 1)}, "invalid transparency proof"},
		{lies{"/entries/256/proof": func([]byte) []byte { return newTestLog(600).proof(257) }}, "invalid transparency proof"},
		{lies{"/entries/256/proof": cut}, "malformed note"},
		{lies{"/consistency?from=256&to=600": other64(len(`{"from":256,"proof":["`))}, "invalid transparency proof"},
		{lies{"/consistency?from=256&to=600": flip(len(`{"from":25`))}, "answers something else"},
		{lies{"/log/checkpoint": resign(head(599), ours)}, "inconsistent tile"},
		{lies{"/log/checkpoint": resign(head(600), foreign)}, "no verifiable signatures"},
		{lies{"/log/checkpoint": resign(head(600), other)}, "not signed by a key of that name"},
		{lies{"/log/checkpoint": flip(len(origin) + 1)}, "invalid signature"},
		{lies{"/log/checkpoint": resign(strings.Replace(head(600), "\n600", "\n0600", 1), ours)}, "no decimal number"},
		{lies{"/log/checkpoint": resign(strings.Replace(head(600), "\n600", "\n0", 1), ours)}, "the empty tree has root"},
	} {
		log := newTestLog(600)
		log.earlier = []int64{599}
		hit := 0
		log.lie = func(path string, body []byte) []byte {
			if lie, found := c.lies[path]; found {
				hit++
				return lie(body)
			}
			return body
		}
		refused(t, c.why, "log", vkey+","+otherKey, log.serve(t))
		if hit < len(c.lies) {
			t.Errorf("%q: of %d lies %d were told", c.why, len(c.lies), hit)
		}
	}
}

// changedLeaf makes the first leaf of tile 1 that of the record whose sixth byte was flipped.
func changedLeaf(body []byte) []byte {
	record := append([]byte{}, newTestLog(257).records[256]...)
	record[5] ^= 1
	leaf := tlog.RecordHash(record)
	return append(leaf[:], body[len(leaf):]...)
}

// A record and its leaf are changed alike, in the first of 274 tiles: the place that CVE-2026-56865 is about. Which of
// the checks finds it depends on the version of Go's package.
func TestWhatGosTileReaderMissesIsRefused(t *testing.T) {
	log := newTestLog(70000)
	record := append([]byte{}, log.records[0]...)
	record[5] ^= 1
	leaf := tlog.RecordHash(record)
	log.lie = func(path string, body []byte) []byte {
		switch path {
		case "/log/tile/entries/000":
			body[7] ^= 1
		case "/log/tile/0/000":
			copy(body, leaf[:])
		}
		return body
	}
	refused(t, "", "log", log.vkey, log.serve(t))
}

func TestAProofForAnEqualRecordElsewhereIsRefused(t *testing.T) {
	log := newTestLogOf([][]byte{[]byte("same"), []byte("same"), []byte("other")})
	log.lie = func(path string, body []byte) []byte {
		if path == "/entries/0/proof" {
			return log.proof(1)
		}
		return body
	}
	refused(t, "is for index 1", "log", log.vkey, log.serve(t))
}

func TestAnswersOfTheWrongTypeAreRefused(t *testing.T) {
	log := newTestLog(3)
	for contentType, why := range map[string]string{plainText: "/log/tile/", octets: "/log/checkpoint"} {
		log.contentType = contentType
		refused(t, why, "log", log.vkey, log.serve(t))
	}
}

func TestOldCheckpointsAreHeldAgainstTheLog(t *testing.T) {
	log := newTestLog(400)
	base := log.serve(t)
	var files []string
	for _, size := range []int64{0, 1, 256, 399, 400} {
		files = append(files, save(t, log.checkpoint(size)))
	}
	if _, err := output(append([]string{"log", log.vkey, base}, files...)...); err != nil {
		t.Error(err)
	}
	foreign := newTestLog(400)
	foreign.signer, _ = testKey(origin, 2)
	for _, c := range []struct {
		old []byte
		why string
	}{
		{newTestLog(401).checkpoint(401), "shrank from 401 to 400"},
		{sign(fmt.Sprintf("%s\n300\n%s\n", origin, log.root(301)), log.signer), "signed was"},
		{foreign.checkpoint(300), "no verifiable signatures"},
	} {
		refused(t, c.why, "log", log.vkey, base, files[1], save(t, c.old))
	}
}

func TestALogThatChangedItsKeyIsAccepted(t *testing.T) {
	log := newTestLog(5)
	old := save(t, log.checkpoint(3))
	signer, vkey := testKey(origin, 2)
	before := log.vkey
	log.signer = signer
	base := log.serve(t)
	if _, err := output("log", before+","+vkey, base, old); err != nil {
		t.Error(err)
	}
	refused(t, "no verifiable signatures", "log", vkey, base, old)
	refused(t, "no verifiable signatures", "log", before, base, old)
}

func TestAProofIsForOneRecord(t *testing.T) {
	log := newTestLog(300)
	record, proof := save(t, log.records[255]), save(t, log.proof(255))
	root := log.root(300)
	out, err := output("proof", log.vkey, record, proof)
	if want := fmt.Sprintf("ok index=255 size=300 root=%x\n", root[:]); err != nil || out != want {
		t.Error(out, err)
	}
	extra := bytes.Replace(log.proof(255), []byte("\nindex"), []byte("\nextra YWdl\nindex"), 1)
	if _, err := output("proof", log.vkey, record, save(t, extra)); err != nil {
		t.Error(err)
	}
	_, foreign := testKey(origin, 2)
	refused(t, "no verifiable signatures", "proof", foreign, record, proof)
	refused(t, "invalid transparency proof", "proof", log.vkey, save(t, log.records[254]), proof)
	refused(t, "invalid transparency proof", "proof", log.vkey, save(t, append(log.records[255], '\n')), proof)
	for _, c := range [][2]string{
		{"@v1", "@v2"},
		{"index 255", "index 254"},
		{"index 255", "index 0255"},
		{"index 255\n", ""},
		{"index 255\n", "index 255\n\n"},
		{"=\n\n" + origin, "=\nAAAA\n\n" + origin},
	} {
		changed := bytes.Replace(log.proof(255), []byte(c[0]), []byte(c[1]), 1)
		if _, err := output("proof", log.vkey, record, save(t, changed)); err == nil {
			t.Errorf("%q may become %q", c[0], c[1])
		}
	}
}

func TestACheckpointIsPrinted(t *testing.T) {
	log := newTestLog(9)
	root := log.root(9)
	out, err := output("checkpoint", log.vkey, save(t, log.checkpoint(9)))
	if want := fmt.Sprintf("%s 9 %x\n", origin, root[:]); err != nil || out != want {
		t.Error(out, err)
	}
	// Extension lines are allowed, empty ones are not.
	text := fmt.Sprintf("%s\n9\n%s\n", origin, root)
	if _, err := output("checkpoint", log.vkey, save(t, sign(text+"more\n", log.signer))); err != nil {
		t.Error(err)
	}
	refused(t, "an empty line", "checkpoint", log.vkey, save(t, sign(text+"\nmore\n", log.signer)))
}

func TestAMistypedCommandLineIsNoBadLog(t *testing.T) {
	for _, args := range [][]string{{}, {"log"}, {"log", "key"}, {"proof", "a", "b"}, {"unknown", "a", "b", "c"}} {
		if _, err := output(args...); err != errUsage {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// The vectors are kept beside the repository.
func TestAnotherImplementationsLogIsRead(t *testing.T) {
	folder := "../../../../shared/vectors/tessera-testdata/testdata/log/"
	if _, err := os.Stat(folder); err != nil {
		t.Skip("no vectors in", folder)
	}
	var hashes hashStore
	for size := int64(0); size <= 15; size++ {
		message, err := os.ReadFile(fmt.Sprintf("%scheckpoint.%d", folder, size))
		if err != nil {
			t.Fatal(err)
		}
		// Its key is not among the vectors.
		text, _, _ := bytes.Cut(message, []byte("\n\n"))
		parsed, err := parseCheckpoint(string(text) + "\n")
		if err != nil {
			t.Fatal(err)
		}
		if size == 0 {
			if parsed.tree.Hash != emptyRoot {
				t.Error("the empty tree has root", parsed.tree.Hash)
			}
			continue
		}
		data, err := os.ReadFile(fmt.Sprintf("%stile/entries/000.p/%d", folder, size))
		if err != nil {
			t.Fatal(err)
		}
		entries, err := splitBundle(data)
		if err != nil || int64(len(entries)) != size {
			t.Fatal(len(entries), err)
		}
		if err := hashes.grow(size-1, tlog.RecordHash(entries[size-1])); err != nil {
			t.Fatal(err)
		}
		if root, _ := tlog.TreeHash(size, hashes); parsed.tree != (tlog.Tree{N: size, Hash: root}) {
			t.Errorf("size %d: %v", size, parsed)
		}
	}
}
