package api

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// clientMetricsResource is all that version 0 lists, and there are none.
const clientMetricsResource = 16

// brokerLoggerResource is a broker's log levels.
const brokerLoggerResource = 8

// handleListConfigResources names what has, or could have, configs of its own.
func handleListConfigResources(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.ListConfigResourcesRequest)
	resp := req.ResponseKind().(*kmsg.ListConfigResourcesResponse)
	types := req.ResourceTypes
	known := []int8{int8(controller.ResourceTopic), int8(controller.ResourceBroker), brokerLoggerResource, clientMetricsResource, int8(controller.ResourceGroup)}
	switch {
	case req.Version == 0:
		types = []int8{clientMetricsResource}
	case len(types) == 0:
		types = known
	}
	im := n.Image()
	for _, t := range types {
		if !slices.Contains(known, t) {
			resp.ErrorCode, resp.ConfigResources = kerr.UnsupportedVersion.Code, nil
			return resp, nil
		}
		for _, name := range resourceNames(im, t) {
			res := kmsg.NewListConfigResourcesResponseConfigResource()
			res.Name, res.Type = name, t
			resp.ConfigResources = append(resp.ConfigResources, res)
		}
	}
	return resp, nil
}

func resourceNames(im *controller.Image, t int8) []string {
	var names []string
	switch t {
	case int8(controller.ResourceTopic):
		for _, topic := range im.Topics() {
			names = append(names, topic.Name)
		}
	case int8(controller.ResourceBroker), brokerLoggerResource:
		for _, b := range im.Brokers() {
			names = append(names, strconv.Itoa(int(b.ID)))
		}
	case int8(controller.ResourceGroup):
		names = im.Resources(controller.ResourceGroup)
	}
	return names
}
