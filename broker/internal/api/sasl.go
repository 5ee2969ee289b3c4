package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// handleSASLHandshake refuses: there is no listener with SASL yet.
func handleSASLHandshake(_ context.Context, _ *Node, r *Request) (kmsg.Response, error) {
	resp := r.Body.ResponseKind().(*kmsg.SASLHandshakeResponse)
	resp.ErrorCode = kerr.IllegalSaslState.Code
	return resp, nil
}

// handleSASLAuthenticate refuses: there is no listener with SASL yet.
func handleSASLAuthenticate(_ context.Context, _ *Node, r *Request) (kmsg.Response, error) {
	resp := r.Body.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	resp.ErrorCode = kerr.IllegalSaslState.Code
	text := "SaslAuthenticate request received after successful authentication"
	resp.ErrorMessage = &text
	resp.SASLAuthBytes = []byte{}
	return resp, nil
}
