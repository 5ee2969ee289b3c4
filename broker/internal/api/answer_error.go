package api

import (
	"reflect"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// errorFields is where the responses have the error of the whole request, by type; -1 where they have none.
var errorFields sync.Map // reflect.Type: int

// AnswerError returns the error code of the whole answer; 0 when there is none, or each part of the answer has its own. Produce and Fetch, whose errors
// are those of partitions, count them where they make them.
func AnswerError(resp kmsg.Response) int16 {
	switch resp.(type) {
	case nil, *kmsg.ProduceResponse, *fetchAnswer:
		return 0
	}
	v := reflect.ValueOf(resp).Elem()
	at, known := errorFields.Load(v.Type())
	if !known {
		at = -1
		if f, ok := v.Type().FieldByName("ErrorCode"); ok && f.Type.Kind() == reflect.Int16 && len(f.Index) == 1 {
			at = f.Index[0]
		}
		errorFields.Store(v.Type(), at)
	}
	if at.(int) < 0 {
		return 0
	}
	return int16(v.Field(at.(int)).Int())
}
