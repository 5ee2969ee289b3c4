package record

import "encoding/binary"

// Partition returns the partition, of n, that the Java producer sends a record with this key to. Two programs that agree on the key's bytes
// agree on the partition.
func Partition(key []byte, n int) int {
	return int(murmur2(key)&0x7fffffff) % n
}

// murmur2 is the hash of Kafka's default partitioner: 32-bit MurmurHash2 over little-endian words with Kafka's seed.
func murmur2(p []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := seed ^ uint32(len(p))
	for ; len(p) >= 4; p = p[4:] {
		k := binary.LittleEndian.Uint32(p)
		k *= m
		k ^= k >> r
		h = h*m ^ k*m
	}
	switch len(p) {
	case 3:
		h ^= uint32(p[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(p[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(p[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
