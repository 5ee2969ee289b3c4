package api

import (
	"reflect"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/meter"
)

// CountErrors counts the error codes of an answer, at whatever depth they are. Produce and Fetch count theirs where they make them: their answers are the
// large and frequent ones.
func CountErrors(counts *meter.Requests, resp kmsg.Response) {
	switch resp.(type) {
	case nil, *kmsg.ProduceResponse, *fetchAnswer:
		return
	}
	v := reflect.ValueOf(resp).Elem()
	errorsIn(v.Type()).count(counts, v)
}

// errorPlan tells where a struct of an answer has error codes. It is immutable.
type errorPlan struct {
	own   int   // the field ErrorCode, or -1
	lists []int // fields that are lists of structs with error codes
	plans []*errorPlan
}

// errorPlans are those of the answers that there were, by type.
var errorPlans sync.Map // reflect.Type: *errorPlan

func errorsIn(answer reflect.Type) *errorPlan {
	if p, known := errorPlans.Load(answer); known {
		return p.(*errorPlan)
	}
	p := planErrors(answer)
	errorPlans.Store(answer, p)
	return p
}

// planErrors looks at the fields of a struct and of what it lists; answers do not contain themselves.
func planErrors(of reflect.Type) *errorPlan {
	p := &errorPlan{own: -1}
	for i := range of.NumField() {
		f := of.Field(i)
		switch {
		case f.Name == "ErrorCode" && f.Type.Kind() == reflect.Int16:
			p.own = i
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			if below := planErrors(f.Type.Elem()); below.own >= 0 || len(below.lists) > 0 {
				p.lists, p.plans = append(p.lists, i), append(p.plans, below)
			}
		}
	}
	return p
}

func (p *errorPlan) count(counts *meter.Requests, v reflect.Value) {
	if p.own >= 0 {
		counts.Error(int16(v.Field(p.own).Int()))
	}
	for i, field := range p.lists {
		list := v.Field(field)
		for n := range list.Len() {
			p.plans[i].count(counts, list.Index(n))
		}
	}
}
