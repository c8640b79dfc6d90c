package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const plainText = "text/plain; charset=utf-8"

// A logCheck holds a log to the one checkpoint that it was met with.
type logCheck struct {
	site   *site
	known  note.Verifiers
	signed checkpoint
	// What the log's tiles say. Go's reader checks them against the signed root.
	tiles tlog.HashReader
	raw   *tileReader
	// What the log's entries hash to.
	own hashStore
}

func verifyLog(vkeys, base string, oldFiles []string, out io.Writer) error {
	known, err := parseVerifiers(vkeys)
	if err != nil {
		return err
	}
	// Read first: whatever these are, the log must contain them by the time that it shows its own.
	var olds [][]byte
	for _, file := range oldFiles {
		old, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		olds = append(olds, old)
	}
	site := newSite(base)
	message, err := site.get("/log/checkpoint", plainText)
	if err != nil {
		return err
	}
	signed, _, err := openCheckpoint(message, known)
	if err != nil {
		return err
	}
	raw := &tileReader{site, map[tlog.Tile][]byte{}}
	check := &logCheck{site: site, known: known, signed: signed, raw: raw}
	check.tiles = tlog.TileHashReader(signed.tree, raw)

	entries, err := check.entries()
	if err != nil {
		return err
	}
	if err := check.allTiles(); err != nil {
		return err
	}
	for i, old := range olds {
		if err := check.old(old); err != nil {
			return fmt.Errorf("%s: %w", oldFiles[i], err)
		}
	}
	included, err := check.inclusion()
	if err != nil {
		return err
	}
	consistent, err := check.consistency()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "ok size=%d root=%x entries=%d inclusion=%d consistency=%d\n",
		signed.tree.N, signed.tree.Hash[:], entries, included, consistent)
	return nil
}

// entries hashes all entries, and compares with the leaves in the tiles and with the signed root.
func (c *logCheck) entries() (int64, error) {
	size := c.signed.tree.N
	var whole assembly
	for start := int64(0); start < size; start += tileWidth {
		width := tileWidth
		if size-start < tileWidth {
			width = int(size - start)
		}
		bundle, err := c.site.getEntries(start/tileWidth, width)
		if err != nil {
			return 0, err
		}
		var indexes []int64
		for i := range bundle {
			indexes = append(indexes, tlog.StoredHashIndex(0, start+int64(i)))
		}
		leaves, err := c.tiles.ReadHashes(indexes)
		if err != nil {
			return 0, fmt.Errorf("tiles of entries %d to %d: %w", start, start+int64(width)-1, err)
		}
		for i, entry := range bundle {
			index := start + int64(i)
			leaf := tlog.RecordHash(entry)
			if leaf != leaves[i] {
				return 0, fmt.Errorf("entry %d hashes to %s, its leaf is %s", index, leaf, leaves[i])
			}
			if err := c.own.grow(index, leaf); err != nil {
				return 0, err
			}
			if _, err := whole.take(entry); err != nil {
				return 0, fmt.Errorf("entry %d: %w", index, err)
			}
		}
	}
	root, err := c.root(size)
	if err != nil {
		return 0, err
	}
	if root != c.signed.tree.Hash {
		return 0, fmt.Errorf("the entries have root %s, signed is %s", root, c.signed.tree.Hash)
	}
	return size, nil
}

// allTiles compares every tile with what the entries hash to.
//
// Go's reader alone does not suffice: before version 0.40 of golang.org/x/mod it leaves the first tiles that it is
// asked for unchecked where the tree's right edge shares tiles (CVE-2026-56865).
func (c *logCheck) allTiles() error {
	for _, tile := range tilesOf(c.signed.tree.N) {
		shown, err := c.raw.ReadTiles([]tlog.Tile{tile})
		if err != nil {
			return err
		}
		own, err := tlog.ReadTileData(tile, c.own)
		if err != nil {
			return err
		}
		if !bytes.Equal(shown[0], own) {
			return fmt.Errorf("`%s` is not what the entries hash to", c2spPath(tile))
		}
	}
	return nil
}

// root is the root that the log had at an earlier size.
func (c *logCheck) root(size int64) (tlog.Hash, error) {
	if size == 0 {
		return emptyRoot, nil
	}
	return tlog.TreeHash(size, c.own)
}

// old holds the log to a checkpoint that it signed some time ago.
func (c *logCheck) old(message []byte) error {
	old, _, err := openCheckpoint(message, c.known)
	if err != nil {
		return err
	}
	return c.contains(old)
}

// contains checks that a checkpoint no larger than ours is one of the same log.
func (c *logCheck) contains(other checkpoint) error {
	if other.origin != c.signed.origin {
		return fmt.Errorf("origin `%s` instead of `%s`", other.origin, c.signed.origin)
	}
	if other.tree.N > c.signed.tree.N {
		return fmt.Errorf("the log shrank from %d to %d", other.tree.N, c.signed.tree.N)
	}
	root, err := c.root(other.tree.N)
	if err != nil {
		return err
	}
	if root != other.tree.Hash {
		return fmt.Errorf("at size %d the log has root %s, signed was %s", other.tree.N, root, other.tree.Hash)
	}
	return nil
}

// inclusion checks single records and their proofs.
func (c *logCheck) inclusion() (int, error) {
	indices := spreadIndices(c.signed.tree.N)
	// The log may grow meanwhile: then its proofs lead to larger trees, which must contain ours.
	larger := map[checkpoint]bool{}
	for _, index := range indices {
		path := fmt.Sprintf("/entries/%d", index)
		record, err := c.site.get(path, "")
		if err != nil {
			return 0, err
		}
		if leaf := tlog.RecordHash(record); leaf != c.own[tlog.StoredHashIndex(0, index)] {
			return 0, fmt.Errorf("`%s` hashes to %s, which is not its leaf", path, leaf)
		}
		text, err := c.site.get(path+"/proof", "")
		if err != nil {
			return 0, err
		}
		proven, signed, err := checkProof(c.known, record, text)
		if err != nil {
			return 0, fmt.Errorf("`%s/proof`: %w", path, err)
		}
		if proven != index {
			return 0, fmt.Errorf("`%s/proof` is for index %d", path, proven)
		}
		if signed.tree.N > c.signed.tree.N {
			larger[signed] = true
		} else if err := c.contains(signed); err != nil {
			return 0, fmt.Errorf("`%s/proof`: %w", path, err)
		}
	}
	for signed := range larger {
		if signed.origin != c.signed.origin {
			return 0, fmt.Errorf("origin `%s` instead of `%s`", signed.origin, c.signed.origin)
		}
		if err := c.consistent(c.signed.tree, signed.tree); err != nil {
			return 0, err
		}
	}
	return len(indices), nil
}

// consistency checks proofs between earlier sizes.
func (c *logCheck) consistency() (int, error) {
	pairs := spreadPairs(c.signed.tree.N)
	for _, pair := range pairs {
		var trees [2]tlog.Tree
		for i, size := range pair {
			root, err := c.root(size)
			if err != nil {
				return 0, err
			}
			trees[i] = tlog.Tree{N: size, Hash: root}
		}
		if err := c.consistent(trees[0], trees[1]); err != nil {
			return 0, err
		}
	}
	return len(pairs), nil
}

// consistent asks the log for a proof from one tree to another.
func (c *logCheck) consistent(from, to tlog.Tree) error {
	// Any tree contains the empty one, and no proof says so.
	if from.N == 0 {
		return nil
	}
	path := fmt.Sprintf("/consistency?from=%d&to=%d", from.N, to.N)
	body, err := c.site.get(path, "application/json")
	if err != nil {
		return err
	}
	var answer struct {
		From  *int64    `json:"from"`
		To    *int64    `json:"to"`
		Proof *[]string `json:"proof"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("`%s`: %w", path, err)
	}
	if answer.From == nil || answer.To == nil || answer.Proof == nil || *answer.From != from.N || *answer.To != to.N {
		return fmt.Errorf("`%s` answers something else: %s", path, body)
	}
	proof, err := parseHashes(*answer.Proof)
	if err != nil {
		return fmt.Errorf("`%s`: %w", path, err)
	}
	if err := tlog.CheckTree(proof, to.N, to.Hash, from.N, from.Hash); err != nil {
		return fmt.Errorf("`%s`: %w", path, err)
	}
	return nil
}
