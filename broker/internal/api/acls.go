package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// noAuthorizer is what every request about ACLs is told: nobody enforces any.
const noAuthorizer = "No Authorizer is configured."

func handleDescribeACLs(_ context.Context, _ *Node, r *Request) (kmsg.Response, error) {
	resp := r.Body.ResponseKind().(*kmsg.DescribeACLsResponse)
	text := "No Authorizer is configured on the broker"
	resp.ErrorCode, resp.ErrorMessage = kerr.SecurityDisabled.Code, &text
	return resp, nil
}

func handleCreateACLs(_ context.Context, _ *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.CreateACLsRequest)
	resp := req.ResponseKind().(*kmsg.CreateACLsResponse)
	for range req.Creations {
		res := kmsg.NewCreateACLsResponseResult()
		text := noAuthorizer
		res.ErrorCode, res.ErrorMessage = kerr.SecurityDisabled.Code, &text
		resp.Results = append(resp.Results, res)
	}
	return resp, nil
}

func handleDeleteACLs(_ context.Context, _ *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DeleteACLsRequest)
	resp := req.ResponseKind().(*kmsg.DeleteACLsResponse)
	for range req.Filters {
		res := kmsg.NewDeleteACLsResponseResult()
		text := noAuthorizer
		res.ErrorCode, res.ErrorMessage = kerr.SecurityDisabled.Code, &text
		resp.Results = append(resp.Results, res)
	}
	return resp, nil
}
