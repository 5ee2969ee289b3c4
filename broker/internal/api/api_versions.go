package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// supportedFeatures are the features that clients act upon, with the levels that this broker can be at. A level is finalized in the metadata.
var supportedFeatures = []struct {
	name     string
	min, max int16
}{
	{groupVersion, 0, 1},
	{"transaction.version", 0, 2},
}

// handleApiVersions tells what is served: exactly the table, and the features as they are finalized.
func handleApiVersions(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.ApiVersionsRequest)
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	if req.Version >= 3 {
		if !validSoftware(req.ClientSoftwareName) || !validSoftware(req.ClientSoftwareVersion) {
			resp.ErrorCode = kerr.InvalidRequest.Code
			return resp, nil
		}
		r.Conn.Software, r.Conn.SoftwareVersion = req.ClientSoftwareName, req.ClientSoftwareVersion
	}
	for i := range n.APIs {
		a := &n.APIs[i]
		key := kmsg.NewApiVersionsResponseApiKey()
		key.ApiKey, key.MinVersion, key.MaxVersion = a.Key, a.Min, a.Max
		if a.ListedFromZero {
			key.MinVersion = 0
		}
		resp.ApiKeys = append(resp.ApiKeys, key)
	}
	im := n.Image()
	resp.FinalizedFeaturesEpoch = int64(im.Index())
	for _, f := range supportedFeatures {
		// Readers before version 4 do not understand a feature that may be off.
		if f.min > 0 || req.Version >= 4 {
			s := kmsg.NewApiVersionsResponseSupportedFeature()
			s.Name, s.MinVersion, s.MaxVersion = f.name, f.min, f.max
			resp.SupportedFeatures = append(resp.SupportedFeatures, s)
		}
		if level := im.Feature(f.name); level > 0 {
			s := kmsg.NewApiVersionsResponseFinalizedFeature()
			s.Name, s.MinVersionLevel, s.MaxVersionLevel = f.name, level, level
			resp.FinalizedFeatures = append(resp.FinalizedFeatures, s)
		}
	}
	return resp, nil
}

// validSoftware holds a client's name or version against KIP-511: letters and digits, with dots and dashes inside.
func validSoftware(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if inside := i > 0 && i < len(s)-1; !letter && (!inside || c != '.' && c != '-') {
			return false
		}
	}
	return s != ""
}

// DefaultFeatures are the levels that a new cluster begins with: the highest of each.
func DefaultFeatures() map[string]int16 {
	levels := map[string]int16{}
	for _, f := range supportedFeatures {
		levels[f.name] = f.max
	}
	return levels
}
