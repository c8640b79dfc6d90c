package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A checkpoint is what the three lines of C2SP tlog-checkpoint say.
type checkpoint struct {
	origin string
	tree   tlog.Tree
}

func (c checkpoint) String() string {
	return fmt.Sprintf("%s %d %x", c.origin, c.tree.N, c.tree.Hash[:])
}

// emptyRoot is RFC 6962's root of the empty tree; Go's tlog has 32 zeros there.
var emptyRoot = tlog.Hash(sha256.Sum256(nil))

// falselyEmpty says whether the root contradicts the size: there is just one empty tree.
func (c checkpoint) falselyEmpty() bool {
	return c.tree.N == 0 && c.tree.Hash != emptyRoot
}

// parseVerifiers reads one key, or several that follow each other as a log changes its key.
func parseVerifiers(vkeys string) (note.Verifiers, error) {
	var list []note.Verifier
	for _, vkey := range strings.Split(vkeys, ",") {
		verifier, err := note.NewVerifier(vkey)
		if err != nil {
			return nil, fmt.Errorf("key `%s`: %w", vkey, err)
		}
		list = append(list, verifier)
	}
	return note.VerifierList(list...), nil
}

// openCheckpoint returns what a trusted key signed, and nothing of a note that none signed.
func openCheckpoint(message []byte, known note.Verifiers) (checkpoint, *note.Note, error) {
	opened, err := note.Open(message, known)
	if err != nil {
		return checkpoint{}, nil, fmt.Errorf("checkpoint: %w", err)
	}
	parsed, err := parseCheckpoint(opened.Text)
	if err != nil {
		return checkpoint{}, nil, err
	}
	if parsed.falselyEmpty() {
		return checkpoint{}, nil, fmt.Errorf("checkpoint: the empty tree has root %s", parsed.tree.Hash)
	}
	// A trusted key speaks only for the log that it is named after.
	for _, signature := range opened.Sigs {
		if signature.Name == parsed.origin {
			return parsed, opened, nil
		}
	}
	return checkpoint{}, nil, fmt.Errorf("checkpoint: origin `%s` is not signed by a key of that name", parsed.origin)
}

// parseCheckpoint reads the text of a checkpoint, whoever signed it.
func parseCheckpoint(text string) (checkpoint, error) {
	if !strings.HasSuffix(text, "\n") {
		return checkpoint{}, errors.New("checkpoint: does not end with a newline")
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 {
		return checkpoint{}, fmt.Errorf("checkpoint: %d lines instead of 3", len(lines))
	}
	for _, line := range lines {
		if line == "" {
			return checkpoint{}, errors.New("checkpoint: an empty line")
		}
	}
	size, err := parseDecimal(lines[1])
	if err != nil {
		return checkpoint{}, fmt.Errorf("checkpoint: size: %w", err)
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return checkpoint{}, fmt.Errorf("checkpoint: root: %w", err)
	}
	return checkpoint{lines[0], tlog.Tree{N: size, Hash: root}}, nil
}

// parseDecimal accepts one spelling of each number: no sign, no leading zero.
func parseDecimal(text string) (int64, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 0 || strconv.FormatInt(number, 10) != text {
		return 0, fmt.Errorf("`%s` is no decimal number", text)
	}
	return number, nil
}

// parseHash accepts one spelling of each hash; Go's decoder alone skips newlines and stray bits at the end.
func parseHash(text string) (tlog.Hash, error) {
	hash, err := tlog.ParseHash(text)
	if err != nil || hash.String() != text {
		return tlog.Hash{}, fmt.Errorf("`%s` is no base64 of 32 bytes", text)
	}
	return hash, nil
}

func verifyCheckpointFile(vkeys, file string, out io.Writer) error {
	known, err := parseVerifiers(vkeys)
	if err != nil {
		return err
	}
	message, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	parsed, _, err := openCheckpoint(message, known)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, parsed)
	return nil
}
