package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// The upgrade types of UpdateFeatures, from its version 1 on; between them lies a downgrade that is safe.
const (
	featureUpgrade         = 1
	featureUnsafeDowngrade = 3
)

// handleUpdateFeatures finalizes other levels of features, all of them or none.
func handleUpdateFeatures(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.UpdateFeaturesRequest)
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	err := n.Cluster.Propose(ctx, func(im *controller.Image) ([]controller.Record, error) {
		var records []controller.Record
		for _, u := range req.FeatureUpdates {
			if err := checkFeature(n.ID, u.Feature, u.MaxVersionLevel); err != nil {
				return nil, err
			}
			if err := checkDirection(req.Version, &u, im.Feature(u.Feature)); err != nil {
				return nil, err
			}
			records = append(records, &controller.FeatureSet{Name: u.Feature, Level: u.MaxVersionLevel})
		}
		if req.ValidateOnly {
			return nil, nil
		}
		return records, nil
	})
	resp.ErrorCode, resp.ErrorMessage = Code(err), MessageOf(err)
	if req.Version < 2 && err == nil {
		for _, u := range req.FeatureUpdates {
			res := kmsg.NewUpdateFeaturesResponseResult()
			res.Feature = u.Feature
			resp.Results = append(resp.Results, res)
		}
	}
	return resp, nil
}

// checkDirection holds the way that a feature goes from its present level against what the request calls it. Version 0 only says whether it may go down.
func checkDirection(version int16, u *kmsg.UpdateFeaturesRequestFeatureUpdate, level int16) error {
	up := u.UpgradeType == featureUpgrade
	var why string
	switch {
	case version == 0 && (u.MaxVersionLevel >= level || u.AllowDowngrade):
		return nil
	case version > 0 && (u.UpgradeType < featureUpgrade || u.UpgradeType > featureUnsafeDowngrade):
		why = fmt.Sprintf("Unknown upgrade type %d for feature %s.", u.UpgradeType, u.Feature)
	case u.MaxVersionLevel < level && (up || version == 0):
		why = fmt.Sprintf("Feature %s is at version %d: going to %d is a downgrade, and has to be asked for as one.", u.Feature, level, u.MaxVersionLevel)
	case u.MaxVersionLevel > level && !up:
		why = fmt.Sprintf("Feature %s is at version %d: going to %d is no downgrade.", u.Feature, level, u.MaxVersionLevel)
	default:
		return nil
	}
	return &Fault{Kafka: kerr.InvalidUpdateVersion, Message: why}
}

func checkFeature(node int32, name string, level int16) error {
	refuse := func(reason string) error {
		return &Fault{Kafka: kerr.InvalidUpdateVersion, Message: fmt.Sprintf("The update failed for all features since the following feature had an error: "+
			"Invalid update version %d for feature %s. Local controller %d %s", level, name, node, reason)}
	}
	for _, f := range supportedFeatures {
		if f.name != name {
			continue
		}
		if level < f.min || level > f.max {
			return refuse(fmt.Sprintf("only supports versions %d-%d", f.min, f.max))
		}
		return nil
	}
	return refuse("does not support this feature.")
}
