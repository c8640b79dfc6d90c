package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	proofHeader = "c2sp.org/tlog-proof@v1"
	// The path in a tree of 2^63 records.
	maxHashes = 63
)

// An inclusion is a C2SP tlog-proof whose checkpoint is not opened yet.
type inclusion struct {
	index      int64
	path       tlog.RecordProof
	checkpoint []byte
}

func parseProof(text []byte) (inclusion, error) {
	head, message, found := bytes.Cut(text, []byte("\n\n"))
	if !found {
		return inclusion{}, errors.New("proof: no empty line before the checkpoint")
	}
	lines := strings.Split(string(head), "\n")
	if lines[0] != proofHeader {
		return inclusion{}, fmt.Errorf("proof: starts with `%s`", lines[0])
	}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		if _, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[0], "extra ")); err != nil {
			return inclusion{}, fmt.Errorf("proof: extra: %w", err)
		}
		lines = lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return inclusion{}, errors.New("proof: no index line")
	}
	index, err := parseDecimal(strings.TrimPrefix(lines[0], "index "))
	if err != nil {
		return inclusion{}, fmt.Errorf("proof: index: %w", err)
	}
	path, err := parseHashes(lines[1:])
	if err != nil {
		return inclusion{}, fmt.Errorf("proof: %w", err)
	}
	return inclusion{index, path, message}, nil
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	if len(lines) > maxHashes {
		return nil, fmt.Errorf("%d hashes are more than %d", len(lines), maxHashes)
	}
	hashes := []tlog.Hash{}
	for _, line := range lines {
		hash, err := parseHash(line)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// checkProof returns the index and the checkpoint that a proof ties a record to.
func checkProof(known note.Verifiers, record, text []byte) (int64, checkpoint, error) {
	proof, err := parseProof(text)
	if err != nil {
		return 0, checkpoint{}, err
	}
	signed, _, err := openCheckpoint(proof.checkpoint, known)
	if err != nil {
		return 0, checkpoint{}, fmt.Errorf("proof: %w", err)
	}
	leaf := tlog.RecordHash(record)
	if err := tlog.CheckRecord(proof.path, signed.tree.N, signed.tree.Hash, proof.index, leaf); err != nil {
		return 0, checkpoint{}, fmt.Errorf("proof for index %d in size %d: %w", proof.index, signed.tree.N, err)
	}
	return proof.index, signed, nil
}

func verifyProofFile(vkeys, recordFile, proofFile string, out io.Writer) error {
	known, err := parseVerifiers(vkeys)
	if err != nil {
		return err
	}
	record, err := os.ReadFile(recordFile)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(proofFile)
	if err != nil {
		return err
	}
	index, signed, err := checkProof(known, record, text)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "ok index=%d size=%d root=%x\n", index, signed.tree.N, signed.tree.Hash[:])
	return nil
}
