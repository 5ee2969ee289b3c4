package frame

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/api"
)

// newRand returns a source of randomness whose seed is printed.
func newRand(t testing.TB) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// eachServed calls f with every request and version that is served.
func eachServed(f func(key, version int16)) {
	for _, row := range api.Table() {
		for version := row.Min; version <= row.Max; version++ {
			f(row.Key, version)
		}
	}
}

func newRequest(key, version int16) kmsg.Request {
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	return req
}

// random returns the body of a request with random content, as the message library encodes it.
func random(rng *rand.Rand, key, version int16) []byte {
	req := newRequest(key, version)
	fill(rng, reflect.ValueOf(req).Elem())
	req.SetVersion(version)
	if fetch, ok := req.(*kmsg.FetchRequest); ok {
		withoutLaterTags(fetch)
	}
	return req.AppendTo(nil)
}

// withoutLaterTags resets what later versions of Fetch have in tagged fields: the library encodes those in every version.
func withoutLaterTags(req *kmsg.FetchRequest) {
	const replicaState, replicaDirectory, highWatermark = 15, 17, 18 // versions
	if req.Version < replicaState {
		req.ReplicaState = kmsg.NewFetchRequestReplicaState()
	}
	fresh := kmsg.NewFetchRequestTopicPartition()
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			if req.Version < replicaDirectory {
				p.ReplicaDirectoryID = fresh.ReplicaDirectoryID
			}
			if req.Version < highWatermark {
				p.HighWatermark = fresh.HighWatermark
			}
		}
	}
}

var typeOfTags = reflect.TypeFor[kmsg.Tags]()

// fill sets everything in v at random: lists have up to three elements or are null, texts may be null, and structs have unknown tagged fields.
func fill(rng *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == typeOfTags {
			fillTags(rng, v.Addr().Interface().(*kmsg.Tags))
			return
		}
		for i := range v.NumField() {
			fill(rng, v.Field(i))
		}
	case reflect.Pointer:
		if rng.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			if d, ok := v.Interface().(interface{ Default() }); ok {
				d.Default()
			}
			fill(rng, v.Elem())
		}
	case reflect.Slice:
		n := rng.IntN(5) - 1
		if n < 0 {
			v.SetZero()
			return
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			n *= 60 // longer than what one byte of a uvarint tells, at times
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(rng, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(rng, v.Index(i))
		}
	case reflect.String:
		v.SetString(string(make([]byte, rng.IntN(4)*rng.IntN(50))))
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Float64:
		v.SetFloat(rng.NormFloat64())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(rng.Uint64() >> (64 - v.Type().Bits()))
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(rng.Uint64()) >> (64 - v.Type().Bits()))
	default:
		panic("a field of kind " + v.Kind().String())
	}
}

func fillTags(rng *rand.Rand, tags *kmsg.Tags) {
	const unknown = 100 // no known tag has a number like this
	for n := rng.IntN(4) - 1; n > 0; n-- {
		tags.Set(unknown+uint32(rng.IntN(1000)), make([]byte, rng.IntN(200)))
	}
}
