package api

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestShapesFitEveryRequestThatIsServed(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, row := range Table() {
		for version := row.Min; version <= row.Max; version++ {
			req := kmsg.RequestForKey(row.Key)
			req.SetVersion(version)
			if !req.IsFlexible() {
				continue
			}
			if shapes[row.Key] == "" {
				t.Errorf("%s has no shape", kmsg.NameForKey(row.Key))
				break
			}
			for range 30 {
				fill(r, reflect.ValueOf(req).Elem(), 0)
				req.SetVersion(version)
				checkShapeOf(t, row.Key, version, req.AppendTo(nil))
			}
		}
	}
}

// checkShapeOf holds the shape against one body: it takes all of it, and nothing less will do.
func checkShapeOf(t *testing.T, key, version int16, body []byte) {
	t.Helper()
	w := shapeWalk{rest: body}
	w.walk(readyShapes()[[2]int16{key, version}])
	if w.fault != nil || len(w.rest) != 0 {
		t.Fatalf("%s version %d: %v, %d of %d bytes are left over: %x", kmsg.NameForKey(key), version, w.fault, len(w.rest), len(body), body)
	}
	for cut := range len(body) {
		if CheckShape(key, version, body[:cut]) == nil {
			t.Fatalf("%s version %d: %d of %d bytes fit the shape", kmsg.NameForKey(key), version, cut, len(body))
		}
	}
}

// fill gives every field of a message a random value.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			*tags = kmsg.Tags{}
			if r.IntN(4) == 0 {
				tags.Set(uint32(100+r.IntN(3)), make([]byte, r.IntN(5)))
			}
			return
		}
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(r, f, depth+1)
			}
		}
	case reflect.Pointer:
		v.SetZero()
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), depth)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(4), 4))
		for i := range v.Len() {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.String:
		v.SetString("a string of some length"[:r.IntN(24)])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(r.Uint64() >> 57)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.IntN(100)))
	case reflect.Float64:
		v.SetFloat(r.Float64())
	}
}

func TestAHugeListIsRefusedBeforeItIsDecoded(t *testing.T) {
	body := append([]byte{0xff, 0xff, 0xff, 0x7f}, make([]byte, 2<<20)...) // Metadata: a list of many null names
	if err := CheckShape(3, 9, body); err == nil {
		t.Error("a list of more than a million topics was let through")
	}
}

func BenchmarkCheckShape(b *testing.B) {
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(13)
	topic := kmsg.NewFetchRequestTopic()
	for i := range int32(16) {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition = i
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	body := req.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckShape(1, 13, body); err != nil {
			b.Fatal(err)
		}
	}
}
