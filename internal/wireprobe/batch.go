package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A version 2 record batch, as the script builds and reads it:
//
//	offset 8 | length 4 | leader epoch 4 | magic 1 | crc 4 | attributes 2 | last delta 4 | first ts 8 | max ts 8 |
//	producer id 8 | producer epoch 2 | first sequence 4 | count 4 | records …
//
// The checksum (CRC-32C) covers attributes to end; the length counts everything after itself.
const (
	batchHead     = 61
	lengthEnd     = 12
	magicAt       = 16
	crcAt         = 17
	attributesAt  = 21
	attrCodec     = 0x07
	attrLogAppend = 0x08
	attrTxn       = 0x10
	attrControl   = 0x20
	attrHorizon   = 0x40
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

func codecNumber(name string) (int64, error) {
	for i, c := range codecs {
		if c == name {
			return int64(i), nil
		}
	}
	return 0, fmt.Errorf("unknown codec %q", name)
}

func compress(codec int64, in []byte) ([]byte, error) {
	kinds := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	if codec <= 0 || codec >= int64(len(kinds)) {
		return in, nil
	}
	c, err := kgo.DefaultCompressor(kinds[codec])
	if err != nil {
		return nil, err
	}
	out, kind := c.Compress(new(bytes.Buffer), in)
	if int64(kind) != codec {
		return nil, fmt.Errorf("%s did not compress %d bytes", codecs[codec], len(in))
	}
	return bytes.Clone(out), nil
}

// batchFields are the fields of batch{…}; README.md lists them.
type batchFields struct {
	base, leaderEpoch, magic, lastDelta, ts, firstTs, maxTs int64
	pid, epoch, seq, count, length, attrs, codec, cut       int64
	crc                                                     any
	records                                                 []any
}

func intsFrom(o *object, set map[string]*int64, other func(f field) error) error {
	for _, f := range o.fields {
		if p, ok := set[f.name]; ok {
			n, ok := f.value.(int64)
			if !ok {
				return fmt.Errorf("%s.%s: %s is no number", o.name, f.name, formatInline(f.value))
			}
			*p = n
			continue
		}
		if err := other(f); err != nil {
			return fmt.Errorf("%s.%s: %w", o.name, f.name, err)
		}
	}
	return nil
}

const unset = -1 << 40

func encodeBatch(o *object) ([]byte, error) {
	b := batchFields{magic: 2, leaderEpoch: -1, pid: -1, epoch: -1, seq: -1, lastDelta: unset, count: unset, firstTs: unset, maxTs: unset}
	err := intsFrom(o, map[string]*int64{"base": &b.base, "leaderEpoch": &b.leaderEpoch, "magic": &b.magic, "lastDelta": &b.lastDelta,
		"ts": &b.ts, "firstTs": &b.firstTs, "maxTs": &b.maxTs, "pid": &b.pid, "epoch": &b.epoch, "seq": &b.seq, "count": &b.count,
		"length": &b.length, "attrs": &b.attrs, "cut": &b.cut},
		func(f field) (err error) {
			flag := func(bit int64) {
				if f.value == true {
					b.attrs |= bit
				}
			}
			switch f.name {
			case "txn":
				flag(attrTxn)
			case "control":
				flag(attrControl)
			case "logAppend":
				flag(attrLogAppend)
			case "crc":
				b.crc = f.value
			case "codec":
				b.codec, err = codecNumber(formatInline(f.value))
				b.attrs |= b.codec
			case "records":
				list, ok := f.value.([]any)
				if !ok {
					list = []any{f.value}
				}
				b.records = list
			default:
				err = fmt.Errorf("unknown field")
			}
			return err
		})
	if err != nil {
		return nil, err
	}
	var body []byte
	first, maximum := b.ts, b.ts
	for i, r := range b.records {
		rec, ts, err := encodeRecord(r, int64(i), b.ts, first, i == 0)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = ts
			maximum = ts
		}
		maximum = max(maximum, ts)
		body = append(body, rec...)
	}
	if body, err = compress(b.codec, body); err != nil {
		return nil, err
	}
	pick := func(v, otherwise int64) int64 {
		if v == unset {
			return otherwise
		}
		return v
	}
	n := int64(len(b.records))
	out := binary.BigEndian.AppendUint64(nil, uint64(b.base))
	out = binary.BigEndian.AppendUint32(out, 0)
	out = binary.BigEndian.AppendUint32(out, uint32(b.leaderEpoch))
	out = append(out, byte(b.magic))
	out = binary.BigEndian.AppendUint32(out, 0)
	out = binary.BigEndian.AppendUint16(out, uint16(b.attrs))
	out = binary.BigEndian.AppendUint32(out, uint32(pick(b.lastDelta, n-1)))
	out = binary.BigEndian.AppendUint64(out, uint64(pick(b.firstTs, first)))
	out = binary.BigEndian.AppendUint64(out, uint64(pick(b.maxTs, maximum)))
	out = binary.BigEndian.AppendUint64(out, uint64(b.pid))
	out = binary.BigEndian.AppendUint16(out, uint16(b.epoch))
	out = binary.BigEndian.AppendUint32(out, uint32(b.seq))
	out = binary.BigEndian.AppendUint32(out, uint32(pick(b.count, n)))
	out = append(out, body...)
	binary.BigEndian.PutUint32(out[8:], uint32(int64(len(out)-lengthEnd)+b.length))
	sum := crc32.Checksum(out[attributesAt:], castagnoli)
	if b.crc == "bad" {
		sum ^= 1
	}
	binary.BigEndian.PutUint32(out[crcAt:], sum)
	return out[:len(out)-int(b.cut)], nil
}

// encodeRecord reads a record: k=v, a bare value with a null key, or {key, value, ts, delta, headers, length}.
func encodeRecord(v any, delta, batchTs, firstTs int64, isFirst bool) (rec []byte, ts int64, err error) {
	var key, value []byte
	var headers []any
	ts = batchTs
	var length int64
	switch v := v.(type) {
	case string:
		if k, val, ok := strings.Cut(v, "="); ok {
			key, value = []byte(k), []byte(val)
		} else {
			value = []byte(v)
		}
	case int64:
		value = []byte(fmt.Sprint(v))
	case *object:
		err = intsFrom(v, map[string]*int64{"ts": &ts, "delta": &delta, "length": &length}, func(f field) (err error) {
			switch f.name {
			case "key", "value":
				var b []byte
				if f.value != nil {
					if b, err = bytesOf(f.value); err == nil && b == nil {
						b = []byte{}
					}
				}
				if f.name == "key" {
					key = b
				} else {
					value = b
				}
			case "headers":
				headers, _ = f.value.([]any)
			default:
				err = fmt.Errorf("unknown field")
			}
			return err
		})
	default:
		err = fmt.Errorf("%s is no record", formatInline(v))
	}
	if err != nil {
		return nil, 0, err
	}
	if isFirst {
		firstTs = ts
	}
	body := []byte{0}
	body = binary.AppendVarint(body, ts-firstTs)
	body = binary.AppendVarint(body, delta)
	body = appendVarBytes(body, key)
	body = appendVarBytes(body, value)
	body = binary.AppendVarint(body, int64(len(headers)))
	for _, h := range headers {
		var hk, hv []byte
		switch h := h.(type) {
		case string:
			k, val, _ := strings.Cut(h, "=")
			hk, hv = []byte(k), []byte(val)
		case *object:
			if k, ok := h.get("key"); ok && k != nil {
				hk, _ = bytesOf(k)
			}
			if val, ok := h.get("value"); ok && val != nil {
				hv, _ = bytesOf(val)
			}
		}
		body = appendVarBytes(body, hk)
		body = appendVarBytes(body, hv)
	}
	return append(binary.AppendVarint(nil, int64(len(body))+length), body...), ts, nil
}

func appendVarBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

// encodeMessage builds an entry of the old message sets: message{magic: 0, key: k, value: v, ts: 5, offset: 0, crc: bad}.
func encodeMessage(o *object) ([]byte, error) {
	var magic, offset, ts, attrs int64
	var key, value []byte
	crcBad := false
	err := intsFrom(o, map[string]*int64{"magic": &magic, "offset": &offset, "ts": &ts, "attrs": &attrs}, func(f field) (err error) {
		switch f.name {
		case "key":
			key, err = bytesOf(f.value)
		case "value":
			value, err = bytesOf(f.value)
		case "crc":
			crcBad = f.value == "bad"
		default:
			err = fmt.Errorf("unknown field")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	appendBytes := func(dst, b []byte) []byte {
		if b == nil {
			return binary.BigEndian.AppendUint32(dst, 0xffffffff)
		}
		return append(binary.BigEndian.AppendUint32(dst, uint32(len(b))), b...)
	}
	body := []byte{byte(magic), byte(attrs)}
	if magic == 1 {
		body = binary.BigEndian.AppendUint64(body, uint64(ts))
	}
	body = appendBytes(appendBytes(body, key), value)
	sum := crc32.ChecksumIEEE(body)
	if crcBad {
		sum ^= 1
	}
	out := binary.BigEndian.AppendUint64(nil, uint64(offset))
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)+4))
	out = binary.BigEndian.AppendUint32(out, sum)
	return append(out, body...), nil
}
