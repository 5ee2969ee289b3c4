package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The endpoint types of DescribeCluster.
const (
	brokerEndpoint     = 1
	controllerEndpoint = 2
)

// handleDescribeCluster lists the brokers. Controllers have no endpoint of their own here.
func handleDescribeCluster(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DescribeClusterRequest)
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	refuse := func(k *kerr.Error, format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		resp.ErrorCode, resp.ErrorMessage = k.Code, &text
	}
	if req.Version >= 1 && req.EndpointType != brokerEndpoint {
		if req.EndpointType == controllerEndpoint {
			refuse(kerr.MismatchedEndpointType, "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER")
		} else {
			refuse(kerr.UnsupportedEndpointType, "Unsupported endpoint type %d", req.EndpointType)
		}
		return resp, nil
	}
	im := n.Image()
	resp.ClusterID, resp.ControllerID = im.ClusterID(), n.ID
	for _, b := range im.Brokers() {
		out := kmsg.NewDescribeClusterResponseBroker()
		out.NodeID, out.Host, out.Port, out.Rack = b.ID, r.Conn.Listener.Host, r.Conn.Listener.Port, nonEmpty(b.Rack)
		resp.Brokers = append(resp.Brokers, out)
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = allClusterOperations
	}
	return resp, nil
}
