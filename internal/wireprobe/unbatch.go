package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kgo"
)

// decodeBatches prints the record batches of a Fetch answer; what cannot be read is shown as hex.
func (n *normaliser) decodeBatches(in []byte) any {
	out := []any{}
	for len(in) > 0 {
		if len(in) < batchHead || in[magicAt] != 2 {
			return append(out, symbol(fmt.Sprintf("<%d bytes that are no version 2 batch>", len(in))))
		}
		size := int(binary.BigEndian.Uint32(in[8:])) + lengthEnd
		if size < batchHead || size > len(in) {
			return append(out, symbol("<partial batch>"))
		}
		out = append(out, n.decodeBatch(in[:size]))
		in = in[size:]
	}
	return out
}

func (n *normaliser) decodeBatch(in []byte) any {
	u64 := func(at int) int64 { return int64(binary.BigEndian.Uint64(in[at:])) }
	u32 := func(at int) int64 { return int64(int32(binary.BigEndian.Uint32(in[at:]))) }
	attrs := int64(binary.BigEndian.Uint16(in[attributesAt:]))
	count := u32(57)
	o := &object{name: "batch"}
	add := func(name string, v any) { o.fields = append(o.fields, field{name, v}) }
	add("base", u64(0))
	if d := u32(23); d != count-1 {
		add("lastDelta", d)
	}
	if e := u32(12); e != 0 {
		add("leaderEpoch", e)
	}
	if pid := u64(43); pid != -1 {
		add("pid", n.number("ProducerID", pid))
		add("epoch", int64(int16(binary.BigEndian.Uint16(in[51:]))))
		add("seq", u32(53))
	}
	if c := attrs & attrCodec; c != 0 {
		add("codec", symbol(codecs[c%5]))
	}
	for _, bit := range []struct {
		mask int64
		name string
	}{{attrTxn, "txn"}, {attrControl, "control"}, {attrLogAppend, "logAppend"}, {attrHorizon, "deleteHorizon"}} {
		if attrs&bit.mask != 0 {
			add(bit.name, true)
		}
	}
	if crc32.Checksum(in[attributesAt:], castagnoli) != binary.BigEndian.Uint32(in[crcAt:]) {
		add("crc", symbol("bad"))
	}
	body := in[batchHead:]
	if c := attrs & attrCodec; c != 0 {
		plain, err := kgo.DefaultDecompressor().Decompress(body, kgo.CompressionCodecType(c))
		if err != nil {
			add("records", symbol("<undecodable>"))
			return o
		}
		body = plain
	}
	first, maximum := u64(27), u64(35)
	records := []any{}
	sameTs := true
	var times []any
	for i := int64(0); i < count; i++ {
		rec, rest, ok := n.decodeRecord(body, i, attrs&attrControl != 0)
		if !ok {
			records = append(records, symbol("<undecodable>"))
			break
		}
		body = rest
		records = append(records, rec.shown)
		sameTs = sameTs && rec.tsDelta == 0
		times = append(times, n.number("Timestamp", first+rec.tsDelta))
	}
	if sameTs {
		add("ts", n.number("Timestamp", first))
	} else {
		add("ts", times)
	}
	if attrs&attrLogAppend != 0 || (sameTs && maximum != first) {
		add("maxTs", n.number("Timestamp", maximum))
	}
	add("records", records)
	return o
}

type shownRecord struct {
	shown   any
	tsDelta int64
}

func (n *normaliser) decodeRecord(in []byte, index int64, control bool) (r shownRecord, rest []byte, ok bool) {
	size, w := binary.Varint(in)
	if w <= 0 || size < 1 || int64(len(in)-w) < size {
		return r, nil, false
	}
	body, rest := in[w+1:w+int(size)], in[w+int(size):]
	bad := false
	num := func() int64 {
		v, w := binary.Varint(body)
		if w <= 0 {
			bad = true
			return 0
		}
		body = body[w:]
		return v
	}
	blob := func() any {
		l := num()
		if l < 0 {
			return nil
		}
		if bad || int64(len(body)) < l {
			bad = true
			return nil
		}
		b := body[:l:l]
		body = body[l:]
		return b
	}
	r.tsDelta = num()
	delta := num()
	key, value := blob(), blob()
	headers := []any{}
	for i := num(); i > 0 && !bad; i-- {
		k, v := blob(), blob()
		headers = append(headers, &object{fields: []field{{"key", k}, {"value", v}}})
	}
	if control {
		if k, isBytes := key.([]byte); isBytes && len(k) == 4 {
			kind := binary.BigEndian.Uint16(k[2:])
			names := map[uint16]string{0: "<abort>", 1: "<commit>"}
			r.shown = symbol(names[kind])
			return r, rest, !bad
		}
	}
	kb, hasKey := key.([]byte)
	vb, hasValue := value.([]byte)
	switch {
	case len(headers) == 0 && delta == index && hasKey && hasValue && formatString(string(kb)+"="+string(vb)) == string(kb)+"="+string(vb):
		r.shown = symbol(string(kb) + "=" + string(vb))
	case len(headers) == 0 && delta == index && !hasKey && hasValue && formatString(string(vb)) == string(vb):
		r.shown = symbol(string(vb))
	default:
		o := &object{}
		if delta != index {
			o.fields = append(o.fields, field{"delta", delta})
		}
		o.fields = append(o.fields, field{"key", key}, field{"value", value})
		if len(headers) > 0 {
			o.fields = append(o.fields, field{"headers", headers})
		}
		r.shown = o
	}
	return r, rest, !bad
}
