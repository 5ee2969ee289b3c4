package controller

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
)

// ScramMechanism is a way to log in, with the numbers of AlterUserScramCredentials.
type ScramMechanism int8

// The mechanisms that a user can have a credential for.
const (
	ScramSHA256 ScramMechanism = 1
	ScramSHA512 ScramMechanism = 2
)

func (m ScramMechanism) hash() func() hash.Hash {
	switch m {
	case ScramSHA256:
		return sha256.New
	case ScramSHA512:
		return sha512.New
	}
	return nil
}

// Bounds of a credential. The iterations are Kafka's; the others keep what users can be made to cost every broker's memory at 10,000 × 1.5 KiB.
const (
	minScramIterations  = 4096
	maxScramIterations  = 16384
	maxScramSalt        = 256
	maxScramNameLength  = 1 << 10
	maxScramCredentials = 10_000
)

// ScramKey names a credential: a user has at most one for each mechanism.
type ScramKey struct {
	User      string
	Mechanism ScramMechanism
}

func compareScramKeys(a, b ScramKey) int {
	return cmp.Or(strings.Compare(a.User, b.User), cmp.Compare(a.Mechanism, b.Mechanism))
}

// ScramCredential is what a server needs to check a login by RFC 5802. Neither the password nor the salted password, which is as good as it, is kept.
type ScramCredential struct {
	Iterations                 int32
	Salt, StoredKey, ServerKey []byte // immutable
}

// ScramUpsertion makes or replaces a credential.
type ScramUpsertion struct {
	ScramKey
	Iterations           int32
	Salt, SaltedPassword []byte // not kept
}

// AlteredScramUser is the answer about one user.
type AlteredScramUser struct {
	User string
	Err  error
}

// AlterScramCredentials decides about each user on its own: one credential of a user changes, or none.
func AlterScramCredentials(im *Image, deletions []ScramKey, upsertions []ScramUpsertion) ([]Record, []AlteredScramUser) {
	a := scramAlteration{im: im, errs: map[string]error{}, records: map[string]Record{}, left: maxScramCredentials - len(im.scram)}
	for _, k := range deletions {
		a.add(k, &ScramRemoved{k}, a.checkDeletion(k))
	}
	for _, u := range upsertions {
		err := a.checkUpsertion(u)
		var rec Record
		if err == nil {
			rec = &ScramSet{u.ScramKey, u.credential()}
		}
		a.add(u.ScramKey, rec, err)
	}
	var records []Record
	out := make([]AlteredScramUser, 0, len(a.order))
	for _, user := range a.order {
		if a.errs[user] == nil {
			records = append(records, a.records[user])
		}
		out = append(out, AlteredScramUser{user, a.errs[user]})
	}
	return records, out
}

// scramAlteration gathers what happens to each user of a request.
type scramAlteration struct {
	im      *Image
	order   []string // users as they were first named
	errs    map[string]error
	records map[string]Record
	left    int // credentials that there is still room for
}

// add notes what becomes of a user, whose first error is the answer. Apache Kafka refuses a second credential of a user in a request, also of another mechanism.
func (a *scramAlteration) add(k ScramKey, rec Record, err error) {
	earlier, known := a.errs[k.User]
	switch {
	case !known:
		a.order = append(a.order, k.User)
		a.errs[k.User], a.records[k.User] = err, rec
	case earlier == nil:
		a.errs[k.User] = fault(kerr.DuplicateResource, "A user credential cannot be altered twice in the same request")
	}
}

func checkScramKey(k ScramKey) error {
	switch {
	case k.User == "":
		return fault(kerr.UnacceptableCredential, "Username must not be empty")
	case len(k.User) > maxScramNameLength:
		return fault(kerr.UnacceptableCredential, "The username is longer than %d bytes", maxScramNameLength)
	case k.Mechanism.hash() == nil:
		return fault(kerr.UnsupportedSaslMechanism, "Unknown SCRAM mechanism")
	}
	return nil
}

func (a *scramAlteration) checkDeletion(k ScramKey) error {
	if err := checkScramKey(k); err != nil {
		return err
	}
	if _, ok := a.im.scram[k]; !ok {
		return fault(kerr.ResourceNotFound, "Attempt to delete a user credential that does not exist")
	}
	return nil
}

func (a *scramAlteration) checkUpsertion(u ScramUpsertion) error {
	if err := checkScramKey(u.ScramKey); err != nil {
		return err
	}
	switch {
	case u.Iterations < minScramIterations:
		return fault(kerr.UnacceptableCredential, "Too few iterations")
	case u.Iterations > maxScramIterations:
		return fault(kerr.UnacceptableCredential, "Too many iterations")
	case len(u.Salt) > maxScramSalt:
		return fault(kerr.UnacceptableCredential, "The salt is longer than %d bytes", maxScramSalt)
	}
	if _, there := a.im.scram[u.ScramKey]; !there {
		if a.left == 0 {
			return fault(kerr.PolicyViolation, "There are %d credentials already, which is the most that this cluster keeps.", maxScramCredentials)
		}
		a.left--
	}
	return nil
}

func (u *ScramUpsertion) credential() ScramCredential {
	mac := func(text string) []byte {
		h := hmac.New(u.Mechanism.hash(), u.SaltedPassword)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := u.Mechanism.hash()()
	stored.Write(mac("Client Key"))
	return ScramCredential{Iterations: u.Iterations, Salt: slices.Clone(u.Salt), StoredKey: stored.Sum(nil), ServerKey: mac("Server Key")}
}

// ScramCredentials returns a user's credentials by mechanism; none when there is no such user.
func (im *Image) ScramCredentials(user string) map[ScramMechanism]ScramCredential {
	found := map[ScramMechanism]ScramCredential{}
	for _, m := range []ScramMechanism{ScramSHA256, ScramSHA512} {
		if c, ok := im.scram[ScramKey{user, m}]; ok {
			found[m] = c
		}
	}
	return found
}

// ScramUsers returns the users that have credentials, by name.
func (im *Image) ScramUsers() []string {
	var users []string
	for _, k := range im.scramKeys() {
		if n := len(users); n == 0 || users[n-1] != k.User {
			users = append(users, k.User)
		}
	}
	return users
}

func (im *Image) scramKeys() []ScramKey {
	return slices.SortedFunc(maps.Keys(im.scram), compareScramKeys)
}

// ScramSet makes or replaces a credential.
type ScramSet struct {
	Key        ScramKey
	Credential ScramCredential
}

// ScramRemoved removes a credential.
type ScramRemoved struct{ Key ScramKey }

func (*ScramSet) kind() recordKind     { return kindScramSet }
func (*ScramRemoved) kind() recordKind { return kindScramRemoved }

func appendScramKey(dst []byte, k ScramKey) []byte {
	return kbin.AppendInt8(kbin.AppendCompactString(dst, k.User), int8(k.Mechanism))
}

func readScramKey(b *kbin.Reader) ScramKey {
	return ScramKey{b.CompactString(), ScramMechanism(b.Int8())}
}

func (r *ScramSet) appendTo(dst []byte) []byte {
	dst = kbin.AppendInt32(appendScramKey(dst, r.Key), r.Credential.Iterations)
	for _, part := range [][]byte{r.Credential.Salt, r.Credential.StoredKey, r.Credential.ServerKey} {
		dst = kbin.AppendCompactBytes(dst, part)
	}
	return dst
}

func (r *ScramSet) readFrom(b *kbin.Reader) {
	r.Key, r.Credential.Iterations = readScramKey(b), b.Int32()
	for _, part := range []*[]byte{&r.Credential.Salt, &r.Credential.StoredKey, &r.Credential.ServerKey} {
		*part = slices.Clone(b.CompactBytes())
	}
}

func (r *ScramRemoved) appendTo(dst []byte) []byte { return appendScramKey(dst, r.Key) }
func (r *ScramRemoved) readFrom(b *kbin.Reader)    { r.Key = readScramKey(b) }

func (b *builder) ownScram() {
	b.own(&b.scram, func() { b.im.scram = maps.Clone(b.im.scram) })
}

func (b *builder) removeScram(r *ScramRemoved) error {
	if _, ok := b.im.scram[r.Key]; !ok {
		return fmt.Errorf("the credential of %s is to be removed but does not exist", r.Key.User)
	}
	b.ownScram()
	delete(b.im.scram, r.Key)
	return nil
}
