package protoserde_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/millrace-io/millrace/stream/serde"
	"github.com/millrace-io/millrace/stream/serde/protoserde"
)

func TestBytesAreProtobufs(t *testing.T) {
	s := protoserde.Of[*wrapperspb.StringValue]()
	b, err := s.Append([]byte("dst"), wrapperspb.String("héé"))
	if have := hex.EncodeToString(b); have != "647374"+"0a0568c3a9c3a9" || err != nil {
		t.Fatalf("encoded %s, %v", have, err)
	}
	in := b[3:]
	m, err := s.Decode(in)
	for i := range in {
		in[i] = 0xee // the serde may not keep it
	}
	if err != nil || m.Value != "héé" {
		t.Errorf("decoded %v, %v", m, err)
	}
	if m, err := s.Decode([]byte{}); err != nil || m == nil || m.Value != "" {
		t.Errorf("no bytes decode to %v, %v, want an empty message", m, err)
	}
}

func TestNullIsRefused(t *testing.T) {
	for _, s := range []serde.Serde[*wrapperspb.StringValue]{protoserde.Of[*wrapperspb.StringValue](), protoserde.Framed[*wrapperspb.StringValue](1)} {
		if b, err := s.Append([]byte("kept"), nil); err == nil || string(b) != "kept" {
			t.Errorf("nil encodes to %q, %v, want an error and dst", b, err)
		}
	}
	if isNull := serde.NullCheck[*wrapperspb.StringValue](); isNull == nil {
		t.Error("a message can't be null")
	}
}

func TestEqualMessagesHaveEqualBytes(t *testing.T) {
	s := protoserde.Of[*structpb.Struct]()
	var first string
	for range 20 {
		m, err := structpb.NewStruct(map[string]any{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6})
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Append(nil, m)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(b)
		}
		if string(b) != first {
			t.Fatalf("%x and %x are of equal messages", b, first)
		}
	}
}

func TestFramesNameTheirMessage(t *testing.T) {
	// StringValue is the eighth message of its file; ExtensionRange the first inner one of the third; Struct the first of its file.
	first := protoserde.Framed[*structpb.Struct](1)
	if b, err := first.Append(nil, &structpb.Struct{}); hex.EncodeToString(b) != "000000000100" || err != nil {
		t.Errorf("the first message: %x, %v", b, err)
	}
	inner := protoserde.Framed[*descriptorpb.DescriptorProto_ExtensionRange](0x01020304)
	b, err := inner.Append([]byte("dst"), &descriptorpb.DescriptorProto_ExtensionRange{Start: proto.Int32(5)})
	if have := hex.EncodeToString(b); have != "647374"+"0001020304"+"040400"+"0805" || err != nil {
		t.Fatalf("an inner message: %s, %v", have, err)
	}
	if m, err := inner.Decode(b[3:]); err != nil || m.GetStart() != 5 {
		t.Errorf("decoded %v, %v", m, err)
	}
	b[3+4] = 9 // another version of the schema
	if m, err := inner.Decode(b[3:]); err != nil || m.GetStart() != 5 {
		t.Errorf("decoded %v, %v under another id", m, err)
	}
	for in, want := range map[string]string{
		"":                                 "0 bytes without the frame",
		"\x01\x00\x00\x00\x01\x04\x04\x00": "without the frame",
		"\x00\x00\x00\x00\x01":             "names another message",
		"\x00\x00\x00\x00\x01\x00":         "names another message",
		"\x00\x00\x00\x00\x01\x04\x04\x02\x08\x05": "names another message",
		"\x00\x00\x00\x00\x01\x04\x04\x00\x08":     "decode google.protobuf.DescriptorProto.ExtensionRange: ",
	} {
		if _, err := inner.Decode([]byte(in)); err == nil || !strings.HasPrefix(err.Error(), "protoserde: decode ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", in, err, want)
		}
	}
}

func TestErrorsAreSentences(t *testing.T) {
	if _, err := protoserde.Of[*wrapperspb.StringValue]().Decode([]byte("\x0a\x05x")); err == nil || !strings.HasPrefix(err.Error(), "protoserde: decode google.protobuf.StringValue: ") {
		t.Errorf("garbage: %v", err)
	}
	if b, err := protoserde.Of[*wrapperspb.StringValue]().Append([]byte("kept"), wrapperspb.String("\xff")); err == nil || string(b) != "kept" {
		t.Errorf("text that is no UTF-8: %q, %v", b, err)
	}
}
