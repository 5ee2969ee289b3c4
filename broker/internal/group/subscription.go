package group

import "encoding/binary"

// addSubscribed reads the topics out of a consumer's metadata (version, then an array of names; the rest does not matter
// here) and says whether the bytes could be read that far.
func addSubscribed(topics map[string]struct{}, metadata []byte) bool {
	const header = 2 + 4
	if len(metadata) < header || int16(binary.BigEndian.Uint16(metadata)) < 0 {
		return false
	}
	n := int32(binary.BigEndian.Uint32(metadata[2:]))
	rest := metadata[header:]
	for range n {
		if len(rest) < 2 {
			return false
		}
		size := int(int16(binary.BigEndian.Uint16(rest)))
		rest = rest[2:]
		if size < 0 || size > len(rest) {
			return false
		}
		topics[string(rest[:size])] = struct{}{}
		rest = rest[size:]
	}
	return true
}
