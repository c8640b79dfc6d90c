package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
	octets     = "application/octet-stream"
)

// c2spPath is a tile's path as C2SP has it: Go's own has the tile's height before the level, and `data` for entries.
func c2spPath(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tile.H))
	if tile.L == -1 {
		path = "entries/" + strings.TrimPrefix(path, "data/")
	}
	return "/log/tile/" + path
}

// getTile fetches a tile or, where the log grew and the partial one is gone, the full one in its place.
func (s *site) getTile(tile tlog.Tile) (data []byte, full bool, err error) {
	data, err = s.get(c2spPath(tile), octets)
	var status *statusError
	if errors.As(err, &status) && status.status == http.StatusNotFound && tile.W < tileWidth {
		tile.W = tileWidth
		data, err = s.get(c2spPath(tile), octets)
		return data, true, err
	}
	return data, tile.W == tileWidth, err
}

// A tileReader fetches each tile once.
type tileReader struct {
	site *site
	seen map[tlog.Tile][]byte
}

func (r *tileReader) Height() int { return tileHeight }

// SaveTiles does nothing: ReadTiles remembers already, for as long as one run lasts.
func (r *tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		if _, seen := r.seen[tile]; !seen {
			data, full, err := r.site.getTile(tile)
			if err != nil {
				return nil, err
			}
			width := tile.W
			if full {
				width = tileWidth
			}
			if len(data) != width*tlog.HashSize {
				return nil, fmt.Errorf("`%s` has %d bytes instead of %d", c2spPath(tile), len(data), width*tlog.HashSize)
			}
			r.seen[tile] = data[:tile.W*tlog.HashSize]
		}
		all = append(all, r.seen[tile])
	}
	return all, nil
}

// getEntries fetches the width first entries of the n-th bundle.
func (s *site) getEntries(n int64, width int) ([][]byte, error) {
	bundle := tlog.Tile{H: tileHeight, L: -1, N: n, W: width}
	data, full, err := s.getTile(bundle)
	if err != nil {
		return nil, err
	}
	entries, err := splitBundle(data)
	if err != nil {
		return nil, fmt.Errorf("`%s`: %w", c2spPath(bundle), err)
	}
	want := width
	if full {
		want = tileWidth
	}
	if len(entries) != want {
		return nil, fmt.Errorf("`%s` has %d entries instead of %d", c2spPath(bundle), len(entries), want)
	}
	return entries[:width], nil
}

// splitBundle takes entries apart, each with its length in two bytes before it.
func splitBundle(data []byte) ([][]byte, error) {
	var entries [][]byte
	for len(data) > 0 {
		if len(data) < 2 {
			return nil, errors.New("ends inside a length")
		}
		length := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+length {
			return nil, errors.New("ends inside an entry")
		}
		entries = append(entries, data[2:2+length])
		data = data[2+length:]
	}
	return entries, nil
}

// A hashStore is a tree in memory, grown from leaves: it owes nothing to the tiles that it is compared with.
type hashStore []tlog.Hash

func (s hashStore) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index < 0 || index >= int64(len(s)) {
			return nil, fmt.Errorf("hash %d is beyond the tree", index)
		}
		hashes[i] = s[index]
	}
	return hashes, nil
}

// grow appends the n-th leaf and the nodes that it completes.
func (s *hashStore) grow(n int64, leaf tlog.Hash) error {
	hashes, err := tlog.StoredHashesForRecordHash(n, leaf, *s)
	if err != nil {
		return err
	}
	*s = append(*s, hashes...)
	return nil
}

// tilesOf lists all tiles of a tree, level by level.
func tilesOf(size int64) []tlog.Tile {
	var tiles []tlog.Tile
	for level := 0; size > 0; level, size = level+1, size>>tileHeight {
		for n := int64(0); n < size>>tileHeight; n++ {
			tiles = append(tiles, tlog.Tile{H: tileHeight, L: level, N: n, W: tileWidth})
		}
		if rest := int(size % tileWidth); rest > 0 {
			tiles = append(tiles, tlog.Tile{H: tileHeight, L: level, N: size >> tileHeight, W: rest})
		}
	}
	return tiles
}
