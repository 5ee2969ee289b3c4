package controller

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
)

// What quotas may take of the metadata, which every broker holds in memory: 10,000 entities × 3 names × 1 KiB = 30 MiB.
const (
	maxQuotaEntities   = 10_000
	maxQuotaNameLength = 1 << 10
)

// QuotaPart is what a quota says of one type of entity. The zero QuotaPart says nothing.
type QuotaPart struct {
	Kind QuotaKind
	Name string // of QuotaNamed
}

// QuotaKind says whom a QuotaPart means.
type QuotaKind int8

// The kinds of a QuotaPart.
const (
	QuotaUnset   QuotaKind = 0
	QuotaDefault QuotaKind = 1 // all that have no quota by name
	QuotaNamed   QuotaKind = 2
)

// QuotaEntity is whom a quota binds: a user, a client id, both together, or an address.
type QuotaEntity struct{ User, ClientID, IP QuotaPart }

// The types of entities in Kafka's words.
const (
	QuotaUser     = "user"
	QuotaClientID = "client-id"
	QuotaIP       = "ip"
)

// Part returns what e says of a type of entity; nil when there is no such type.
func (e *QuotaEntity) Part(kind string) *QuotaPart {
	switch kind {
	case QuotaUser:
		return &e.User
	case QuotaClientID:
		return &e.ClientID
	case QuotaIP:
		return &e.IP
	}
	return nil
}

// quotaTypes are the types of entities in order of name, which is the order of parts in answers.
var quotaTypes = []string{QuotaClientID, QuotaIP, QuotaUser}

// Parts returns the types that e says something of, in order of name, with what it says.
func (e QuotaEntity) Parts() (types []string, parts []QuotaPart) {
	for _, t := range quotaTypes {
		if p := *e.Part(t); p.Kind != QuotaUnset {
			types, parts = append(types, t), append(parts, p)
		}
	}
	return types, parts
}

func compareQuotaEntities(a, b QuotaEntity) int {
	part := func(a, b QuotaPart) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name)) }
	return cmp.Or(part(a.User, b.User), part(a.ClientID, b.ClientID), part(a.IP, b.IP))
}

// NamedEntity is one part of an entity as a client wrote it; a nil Name is the default.
type NamedEntity struct {
	Type string
	Name *string
}

// QuotaOp sets or removes one quota of an entity.
type QuotaOp struct {
	Key    string
	Value  float64
	Remove bool
}

// QuotaChange asks for changes of an entity's quotas.
type QuotaChange struct {
	Entity []NamedEntity
	Ops    []QuotaOp
}

// AlterClientQuotas decides about each change on its own, later ones on top of the earlier, and returns an error or nil for each.
func AlterClientQuotas(im *Image, changes []QuotaChange) ([]Record, []error) {
	errs := make([]error, len(changes))
	next := map[QuotaEntity]map[string]float64{}
	var order []QuotaEntity
	added := 0
	for i, c := range changes {
		entity, err := parseQuotaEntity(c.Entity)
		if err != nil {
			errs[i] = err
			continue
		}
		now, changed := next[entity]
		if !changed {
			now = im.quotas[entity]
		}
		if len(now) == 0 && len(im.quotas)+added >= maxQuotaEntities {
			errs[i] = fault(kerr.PolicyViolation, "There are %d client quotas already, which is the most that this cluster keeps.", maxQuotaEntities)
			continue
		}
		after, err := applyQuotaOps(entity, now, c.Ops)
		if err != nil {
			errs[i] = err
			continue
		}
		if !changed {
			order = append(order, entity)
			if len(now) == 0 {
				added++
			}
		}
		next[entity] = after
	}
	records := make([]Record, 0, len(order))
	for _, e := range order {
		if !maps.Equal(next[e], im.quotas[e]) {
			records = append(records, &ClientQuotasSet{e, next[e]})
		}
	}
	return records, errs
}

// parseQuotaEntity reads an entity; of a type that is named twice the last naming counts.
func parseQuotaEntity(parts []NamedEntity) (QuotaEntity, error) {
	var e QuotaEntity
	if len(parts) == 0 {
		return e, fault(kerr.InvalidRequest, "Invalid empty client quota entity")
	}
	for _, p := range parts {
		at := e.Part(p.Type)
		switch {
		case at == nil:
			return e, fault(kerr.InvalidRequest, "Unhandled client quota entity type: %s", p.Type)
		case p.Name == nil:
			*at = QuotaPart{Kind: QuotaDefault}
		case *p.Name == "":
			return e, fault(kerr.InvalidRequest, "Empty %s not supported", p.Type)
		case len(*p.Name) > maxQuotaNameLength:
			return e, fault(kerr.InvalidRequest, "The name of a %s is longer than %d bytes", p.Type, maxQuotaNameLength)
		default:
			*at = QuotaPart{QuotaNamed, *p.Name}
		}
	}
	if e.IP.Kind != QuotaUnset && (e.User.Kind != QuotaUnset || e.ClientID.Kind != QuotaUnset) {
		return e, fault(kerr.InvalidRequest, "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId")
	}
	if e.IP.Kind == QuotaNamed {
		if _, err := netip.ParseAddr(e.IP.Name); err != nil {
			return e, fault(kerr.InvalidRequest, "%s is not a valid IP or resolvable host.", e.IP.Name)
		}
	}
	return e, nil
}

// quotaKey is a quota that an entity can have.
type quotaKey struct {
	largest float64 // allowed value
	whole   bool    // fractions are refused
}

var clientQuotaKeys = map[string]quotaKey{
	"producer_byte_rate":       {math.MaxInt64, true},
	"consumer_byte_rate":       {math.MaxInt64, true},
	"request_percentage":       {math.MaxFloat64, false},
	"controller_mutation_rate": {math.MaxFloat64, false},
}

var ipQuotaKeys = map[string]quotaKey{"connection_creation_rate": {math.MaxInt32, true}}

func applyQuotaOps(e QuotaEntity, now map[string]float64, ops []QuotaOp) (map[string]float64, error) {
	known := clientQuotaKeys
	if e.IP.Kind != QuotaUnset {
		known = ipQuotaKeys
	}
	after := maps.Clone(now)
	if after == nil {
		after = map[string]float64{}
	}
	for _, op := range ops {
		k, ok := known[op.Key]
		switch {
		case !ok:
			return nil, fault(kerr.InvalidRequest, "Invalid configuration key %s", op.Key)
		case op.Remove:
			delete(after, op.Key)
			continue
		case !(op.Value > 0): // not a number is no quota either
			return nil, fault(kerr.InvalidRequest, "Quota %s must be greater than 0", op.Key)
		case op.Value > k.largest:
			return nil, fault(kerr.InvalidRequest, "Proposed value for %s is too large.", op.Key)
		case k.whole && math.Mod(op.Value, 1) > 1e-6:
			return nil, fault(kerr.InvalidRequest, "%s cannot be a fractional value.", op.Key)
		}
		after[op.Key] = op.Value
	}
	return after, nil
}

// QuotaMatch says which entities of a type a filter lets through.
type QuotaMatch int8

// The matches, with the numbers of DescribeClientQuotas.
const (
	QuotaMatchExact     QuotaMatch = 0
	QuotaMatchDefault   QuotaMatch = 1
	QuotaMatchSpecified QuotaMatch = 2
)

// QuotaFilter is one condition of a search.
type QuotaFilter struct {
	Type  string
	Match QuotaMatch
	Name  *string // of QuotaMatchExact
}

// ClientQuotas are the quotas of one entity.
type ClientQuotas struct {
	Entity QuotaEntity
	Quotas map[string]float64 // do not change it
}

// FindClientQuotas returns the entities that fulfil all filters, in a fixed order. With strict they say nothing of types that no filter names.
func FindClientQuotas(im *Image, filters []QuotaFilter, strict bool) ([]ClientQuotas, error) {
	wanted := map[string]*QuotaPart{} // nil: any
	for _, f := range filters {
		if err := checkQuotaFilter(f, wanted); err != nil {
			return nil, err
		}
	}
	_, ip := wanted[QuotaIP]
	if ip && len(wanted) > 1 {
		return nil, fault(kerr.InvalidRequest, "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.")
	}
	var found []ClientQuotas
	for _, e := range im.quotaEntities() {
		if e.matches(wanted, strict) {
			found = append(found, ClientQuotas{e, im.quotas[e]})
		}
	}
	return found, nil
}

func checkQuotaFilter(f QuotaFilter, wanted map[string]*QuotaPart) error {
	_, again := wanted[f.Type]
	switch {
	case f.Type == "":
		return fault(kerr.InvalidRequest, "Invalid empty entity type.")
	case again:
		return fault(kerr.InvalidRequest, "Entity type %s cannot appear more than once in the filter.", f.Type)
	case (&QuotaEntity{}).Part(f.Type) == nil:
		return fault(kerr.UnsupportedVersion, "Unsupported entity type %s", f.Type)
	}
	switch f.Match {
	case QuotaMatchExact:
		if f.Name == nil {
			return fault(kerr.InvalidRequest, "Request specified MATCH_TYPE_EXACT, but set match string to null.")
		}
		wanted[f.Type] = &QuotaPart{QuotaNamed, *f.Name}
	case QuotaMatchDefault, QuotaMatchSpecified:
		name := "MATCH_TYPE_DEFAULT"
		wanted[f.Type] = &QuotaPart{Kind: QuotaDefault}
		if f.Match == QuotaMatchSpecified {
			name = "MATCH_TYPE_SPECIFIED"
			wanted[f.Type] = nil
		}
		if f.Name != nil {
			return fault(kerr.InvalidRequest, "Request specified %s, but also specified a match string.", name)
		}
	default:
		return fault(kerr.InvalidRequest, "Unknown match type %d", f.Match)
	}
	return nil
}

func (e QuotaEntity) matches(wanted map[string]*QuotaPart, strict bool) bool {
	for _, t := range quotaTypes {
		part := *e.Part(t)
		want, asked := wanted[t]
		switch {
		case !asked:
			if strict && part.Kind != QuotaUnset {
				return false
			}
		case part.Kind == QuotaUnset, want != nil && *want != part:
			return false
		}
	}
	return true
}

func (im *Image) quotaEntities() []QuotaEntity {
	return slices.SortedFunc(maps.Keys(im.quotas), compareQuotaEntities)
}

// ClientQuotasSet replaces all quotas of an entity; none removes it.
type ClientQuotasSet struct {
	Entity QuotaEntity
	Quotas map[string]float64
}

func (*ClientQuotasSet) kind() recordKind { return kindClientQuotasSet }

func (r *ClientQuotasSet) appendTo(dst []byte) []byte {
	for _, t := range quotaTypes {
		p := r.Entity.Part(t)
		dst = kbin.AppendCompactString(kbin.AppendInt8(dst, int8(p.Kind)), p.Name)
	}
	dst = kbin.AppendCompactArrayLen(dst, len(r.Quotas))
	for _, k := range slices.Sorted(maps.Keys(r.Quotas)) {
		dst = kbin.AppendFloat64(kbin.AppendCompactString(dst, k), r.Quotas[k])
	}
	return dst
}

func (r *ClientQuotasSet) readFrom(b *kbin.Reader) {
	for _, t := range quotaTypes {
		*r.Entity.Part(t) = QuotaPart{QuotaKind(b.Int8()), b.CompactString()}
	}
	r.Quotas = map[string]float64{}
	for n := b.CompactArrayLen(); n > 0 && b.Ok(); n-- {
		k := b.CompactString()
		r.Quotas[k] = b.Float64()
	}
}

func (b *builder) setClientQuotas(r *ClientQuotasSet) error {
	if r.Entity == (QuotaEntity{}) {
		return fmt.Errorf("client quotas of nobody")
	}
	for k, v := range r.Quotas {
		if math.IsNaN(v) {
			return fmt.Errorf("client quota %s is no number", k)
		}
	}
	b.own(&b.quotas, func() { b.im.quotas = maps.Clone(b.im.quotas) })
	b.im.quotas[r.Entity] = r.Quotas
	if len(r.Quotas) == 0 {
		delete(b.im.quotas, r.Entity)
	}
	return nil
}
