package settings

import (
	"slices"
	"testing"
)

// FuzzParse gives every setting any value. What is accepted is accepted again as it is shown, with the same meaning, and whatever is made of it holds.
func FuzzParse(f *testing.F) {
	defs := slices.Concat(TopicDefs(), BrokerDefs(), GroupDefs())
	for i, d := range defs {
		f.Add(uint16(i), d.Default)
	}
	for _, s := range []string{"", " 1 ", "-1", "9223372036854775807", "9223372036854775808", "1e9", "NaN", "Inf", "-0", "true", "TRUE", "compact,delete", ",,", "a=b", "\x00"} {
		for i := 0; i < len(defs); i += 7 {
			f.Add(uint16(i), s)
		}
	}
	f.Fuzz(func(t *testing.T, which uint16, text string) {
		d := &defs[int(which)%len(defs)]
		v, err := d.Parse(text)
		if err != nil {
			return
		}
		again, err := d.Parse(v.raw)
		if err != nil || again.num != v.num || again.float != v.float && v.float == v.float || !slices.Equal(again.list, v.list) {
			t.Fatalf("%s: %q was accepted and is shown as %q, which is %+v, %v", d.Name, text, v.raw, again, err)
		}
		if n := float64(v.num); (d.Type == Short || d.Type == Int || d.Type == Long) && (n < d.Min || n > d.Max) {
			t.Fatalf("%s: %d is outside [%g, %g]", d.Name, v.num, d.Min, d.Max)
		}
		overrides := map[string]string{d.Name: text}
		if TopicDef(d.Name) == d || TopicDef(d.Name) != nil && CheckTopic(overrides) == nil {
			b, err := NewBroker(nil)
			if err != nil {
				t.Fatal(err)
			}
			if CheckTopic(overrides) == nil {
				EffectiveTopic(b, overrides)
			}
		}
		if BrokerDef(d.Name) != nil {
			_, _ = NewBroker(overrides)
		}
	})
}
