package main

import "sort"

const (
	// Below this, everything is checked.
	fewIndices = 300
	manyChecks = 200
	fewSizes   = 20
)

// spreadIndices picks from 0 to size-1: the ends, both sides of each power of two, and others evenly between them.
// Powers of two are where trees and tiles change their shape, so that is where a mistake would sit.
func spreadIndices(size int64) []int64 {
	if size < fewIndices {
		return span(0, size, 1)
	}
	return merge(0, size-1, corners(size), span(0, size, size/manyChecks))
}

// spreadPairs picks pairs of sizes 1 <= from <= to <= size.
func spreadPairs(size int64) [][2]int64 {
	var pairs [][2]int64
	if size <= fewSizes {
		for from := int64(1); from <= size; from++ {
			for to := from; to <= size; to++ {
				pairs = append(pairs, [2]int64{from, to})
			}
		}
		return pairs
	}
	sizes := merge(1, size, corners(size), span(1, size, size/fewSizes))
	for i, from := range sizes {
		pairs = append(pairs, [2]int64{from, size})
		if i > 0 {
			pairs = append(pairs, [2]int64{sizes[i-1], from})
		}
		// One from each half, so that neither end of the pair is a special size by construction.
		if other := sizes[len(sizes)-1-i]; from <= other {
			pairs = append(pairs, [2]int64{from, other})
		}
	}
	return pairs
}

func corners(size int64) []int64 {
	list := []int64{0, 1, size - 1, size}
	for power := int64(2); power > 0 && power <= size; power *= 2 {
		list = append(list, power-1, power, power+1)
	}
	return list
}

func span(from, to, step int64) []int64 {
	var list []int64
	for at := from; at < to; at += step {
		list = append(list, at)
	}
	return list
}

// merge sorts, and leaves out what is twice or not from low to high.
func merge(low, high int64, lists ...[]int64) []int64 {
	seen := map[int64]bool{}
	var merged []int64
	for _, list := range lists {
		for _, at := range list {
			if low <= at && at <= high && !seen[at] {
				seen[at] = true
				merged = append(merged, at)
			}
		}
	}
	sort.Slice(merged, func(i, j int) bool { return merged[i] < merged[j] })
	return merged
}
