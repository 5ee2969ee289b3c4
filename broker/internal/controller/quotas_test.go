package controller

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func named(kind, name string) NamedEntity { return NamedEntity{Type: kind, Name: &name} }

func (w *world) quota(entity []NamedEntity, ops ...QuotaOp) error {
	w.t.Helper()
	records, errs := AlterClientQuotas(w.im, []QuotaChange{{entity, ops}})
	w.apply(records...)
	return errs[0]
}

func TestQuotasAreFoundByWhomTheyBind(t *testing.T) {
	w := newWorld(t, 1)
	const rate = "producer_byte_rate"
	for i, entity := range [][]NamedEntity{
		{named("user", "ann")}, {named("user", "ann"), named("client-id", "app")}, {{Type: "user"}}, {named("client-id", "app")}, {{Type: "client-id"}, {Type: "user"}},
	} {
		if err := w.quota(entity, QuotaOp{Key: rate, Value: float64(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.quota([]NamedEntity{named("ip", "10.0.0.1")}, QuotaOp{Key: "connection_creation_rate", Value: 6}); err != nil {
		t.Fatal(err)
	}
	exact := func(kind, name string) QuotaFilter { return QuotaFilter{Type: kind, Name: &name} }
	anyOf := func(kind string) QuotaFilter { return QuotaFilter{Type: kind, Match: QuotaMatchSpecified} }
	standard := func(kind string) QuotaFilter { return QuotaFilter{Type: kind, Match: QuotaMatchDefault} }
	for _, c := range []struct {
		filters []QuotaFilter
		strict  bool
		want    string
	}{
		{nil, false, "1 2 3 4 5 6"},
		{nil, true, ""},
		{[]QuotaFilter{exact("user", "ann")}, false, "1 2"},
		{[]QuotaFilter{exact("user", "ann")}, true, "1"},
		{[]QuotaFilter{standard("user")}, false, "3 5"},
		{[]QuotaFilter{anyOf("user"), exact("client-id", "app")}, true, "2"},
		{[]QuotaFilter{anyOf("client-id")}, true, "4"},
		{[]QuotaFilter{anyOf("ip")}, true, "6"},
		{[]QuotaFilter{exact("user", "bob")}, false, ""},
	} {
		found, err := FindClientQuotas(w.im, c.filters, c.strict)
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]bool{}
		for _, q := range found {
			for v := range maps.Values(q.Quotas) {
				have[fmt.Sprint(v)] = true
			}
		}
		want := strings.Fields(c.want)
		for _, v := range want {
			if !have[v] {
				t.Errorf("%+v, strict %t: quota %s is not found", c.filters, c.strict, v)
			}
		}
		if len(have) != len(want) {
			t.Errorf("%+v, strict %t: %d quotas found, want %d", c.filters, c.strict, len(have), len(want))
		}
	}
	if err := w.quota([]NamedEntity{named("user", "zoe"), named("user", "ann")}, QuotaOp{Key: rate, Remove: true}); err != nil { // the last naming counts
		t.Fatal(err)
	}
	if found, _ := FindClientQuotas(w.im, []QuotaFilter{exact("user", "ann")}, true); len(found) != 0 {
		t.Errorf("a removed quota is still there: %+v", found)
	}
}

func TestQuotasThatCannotBeAreRefused(t *testing.T) {
	w := newWorld(t, 1)
	user := []NamedEntity{named("user", "ann")}
	for _, c := range []struct {
		name   string
		entity []NamedEntity
		op     QuotaOp
	}{
		{"nobody", nil, QuotaOp{Key: "producer_byte_rate", Value: 1}},
		{"an unknown type", []NamedEntity{named("planet", "x")}, QuotaOp{Key: "producer_byte_rate", Value: 1}},
		{"an empty name", []NamedEntity{named("user", "")}, QuotaOp{Key: "producer_byte_rate", Value: 1}},
		{"a very long name", []NamedEntity{named("user", strings.Repeat("a", maxQuotaNameLength+1))}, QuotaOp{Key: "producer_byte_rate", Value: 1}},
		{"an address and a user", []NamedEntity{named("user", "a"), named("ip", "10.0.0.1")}, QuotaOp{Key: "connection_creation_rate", Value: 1}},
		{"no address", []NamedEntity{named("ip", "10.0.0")}, QuotaOp{Key: "connection_creation_rate", Value: 1}},
		{"an unknown quota", user, QuotaOp{Key: "no_such_rate", Value: 1}},
		{"a quota of addresses for a user", user, QuotaOp{Key: "connection_creation_rate", Value: 1}},
		{"nothing at all", user, QuotaOp{Key: "producer_byte_rate", Value: 0}},
		{"no number", user, QuotaOp{Key: "request_percentage", Value: math.NaN()}},
		{"half a byte", user, QuotaOp{Key: "producer_byte_rate", Value: 1.5}},
		{"too many connections", []NamedEntity{named("ip", "::1")}, QuotaOp{Key: "connection_creation_rate", Value: 1 << 40}},
	} {
		if err := w.quota(c.entity, c.op); !errors.Is(err, kerr.InvalidRequest) {
			t.Errorf("%s: %v, want an invalid request", c.name, err)
		}
	}
	if found, _ := FindClientQuotas(w.im, nil, false); len(found) != 0 {
		t.Errorf("refused quotas are there: %+v", found)
	}
	for _, filters := range [][]QuotaFilter{
		{{Type: ""}}, {{Type: "user"}}, {{Type: "user", Match: 9}},
		{{Type: "user", Match: QuotaMatchSpecified}, {Type: "user", Match: QuotaMatchDefault}},
		{{Type: "user", Match: QuotaMatchSpecified}, {Type: "ip", Match: QuotaMatchDefault}},
	} {
		if _, err := FindClientQuotas(w.im, filters, false); !errors.Is(err, kerr.InvalidRequest) {
			t.Errorf("filters %+v: %v, want an invalid request", filters, err)
		}
	}
}

// TestAQuotaThatIsNoNumberIsNotReplayed: a log that holds one is damaged, or not ours.
func TestAQuotaThatIsNoNumberIsNotReplayed(t *testing.T) {
	for _, quotas := range []map[string]float64{{"producer_byte_rate": math.NaN()}, nil} {
		r := &ClientQuotasSet{Quotas: quotas}
		r.Entity.User = QuotaPart{Kind: QuotaNamed, Name: "a"}
		im, err := Apply(Empty(), r)
		if refused := err != nil; refused != (quotas != nil) {
			t.Errorf("quotas %v: %v, %v", quotas, im, err)
		}
	}
}

func TestQuotasAreBounded(t *testing.T) {
	w := newWorld(t, 1)
	changes := make([]QuotaChange, maxQuotaEntities+1)
	for i := range changes {
		changes[i] = QuotaChange{[]NamedEntity{named("user", fmt.Sprint(i))}, []QuotaOp{{Key: "producer_byte_rate", Value: 1}}}
	}
	records, errs := AlterClientQuotas(w.im, changes)
	var err error
	if w.im, err = Apply(w.im, records...); err != nil { // replaying each alone would take long
		t.Fatal(err)
	}
	if len(records) != maxQuotaEntities || errs[maxQuotaEntities-1] != nil || !errors.Is(errs[maxQuotaEntities], kerr.PolicyViolation) {
		t.Fatalf("%d of %d quotas were kept: %v, %v", len(records), len(changes), errs[maxQuotaEntities-1], errs[maxQuotaEntities])
	}
	changes[0].Ops[0].Value = 2
	if records, errs = AlterClientQuotas(w.im, changes[:1]); len(records) != 1 || errs[0] != nil {
		t.Errorf("a quota that is there cannot change when there are many: %v", errs[0])
	}
}

func TestCredentialsAreKeptWithoutThePassword(t *testing.T) {
	w := newWorld(t, 1)
	key := ScramKey{"ann", ScramSHA256}
	alter := func(del []ScramKey, up ...ScramUpsertion) []AlteredScramUser {
		t.Helper()
		records, out := AlterScramCredentials(w.im, del, up)
		w.apply(records...)
		return out
	}
	// The example of RFC 7677: user "user", password "pencil".
	salted := []byte("\xc4\xa4\x95\x10\x32\x3a\xb4\xf9\x52\xca\xc1\xfa\x99\x44\x19\x39\xe7\x8e\xa7\x4d\x6b\xe8\x1d\xdf\x70\x96\xe8\x75\x13\xdc\x61\x5d")
	if out := alter(nil, ScramUpsertion{key, 4096, []byte("salt"), salted}); len(out) != 1 || out[0].Err != nil {
		t.Fatalf("%+v", out)
	}
	got := w.im.ScramCredentials("ann")[ScramSHA256]
	const (
		storedKey = "586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6"
		serverKey = "c1f3cbc1c13a9d35a14c0990eed97629ea225863e566a4314ab99f3f00e5d9d5"
	)
	if got.Iterations != 4096 || string(got.Salt) != "salt" || fmt.Sprintf("%x", got.StoredKey) != storedKey || fmt.Sprintf("%x", got.ServerKey) != serverKey {
		t.Errorf("the credential is %+v", got)
	}
	for _, r := range w.im.Snapshot() {
		if bytes.Contains(AppendRecord(nil, r), salted) {
			t.Error("the salted password is kept")
		}
	}
	if users := w.im.ScramUsers(); len(users) != 1 || users[0] != "ann" {
		t.Errorf("the users with credentials are %v", users)
	}
	long := strings.Repeat("x", maxScramNameLength+1)
	for _, c := range []struct {
		name string
		up   ScramUpsertion
		want *kerr.Error
	}{
		{"no user", ScramUpsertion{ScramKey{"", 1}, 4096, nil, salted}, kerr.UnacceptableCredential},
		{"a very long name", ScramUpsertion{ScramKey{long, 1}, 4096, nil, salted}, kerr.UnacceptableCredential},
		{"no mechanism", ScramUpsertion{ScramKey{"bob", 3}, 4096, nil, salted}, kerr.UnsupportedSaslMechanism},
		{"few iterations", ScramUpsertion{ScramKey{"bob", 1}, 4095, nil, salted}, kerr.UnacceptableCredential},
		{"many iterations", ScramUpsertion{ScramKey{"bob", 1}, 16385, nil, salted}, kerr.UnacceptableCredential},
		{"a very long salt", ScramUpsertion{ScramKey{"bob", 1}, 4096, make([]byte, maxScramSalt+1), salted}, kerr.UnacceptableCredential},
	} {
		if out := alter(nil, c.up); len(out) != 1 || !errors.Is(out[0].Err, c.want) {
			t.Errorf("%s: %+v, want %v", c.name, out, c.want)
		}
	}
	// What is wrong with one of a user's credentials leaves the others of the user as they were, and does not touch other users.
	out := alter([]ScramKey{key}, ScramUpsertion{ScramKey{"ann", ScramSHA512}, 1, nil, salted}, ScramUpsertion{ScramKey{"bob", ScramSHA512}, 8192, nil, salted})
	if len(out) != 2 || out[0].Err == nil || out[1].Err != nil {
		t.Fatalf("%+v", out)
	}
	if len(w.im.ScramCredentials("ann")) != 1 || len(w.im.ScramCredentials("bob")) != 1 {
		t.Error("a refused change of one user's credentials happened, or another user's did not")
	}
	if out := alter([]ScramKey{key, key}); len(out) != 1 || !errors.Is(out[0].Err, kerr.DuplicateResource) {
		t.Errorf("a credential removed twice at once: %+v", out)
	}
	if out := alter([]ScramKey{key}); out[0].Err != nil || len(w.im.ScramCredentials("ann")) != 0 {
		t.Errorf("removing a credential: %+v", out)
	}
	if out := alter([]ScramKey{key}); !errors.Is(out[0].Err, kerr.ResourceNotFound) {
		t.Errorf("removing it again: %+v", out)
	}
}
