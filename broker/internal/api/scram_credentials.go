package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/broker/internal/controller"
)

// handleDescribeUserScramCredentials tells which credentials users have, never what is in them.
func handleDescribeUserScramCredentials(_ context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.DescribeUserSCRAMCredentialsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	empty := ""
	resp.ErrorMessage = &empty
	im := n.Image()
	var users []string
	times := map[string]int{}
	for _, u := range req.Users {
		if times[u.Name]++; times[u.Name] == 1 {
			users = append(users, u.Name)
		}
	}
	if len(users) == 0 {
		users = im.ScramUsers()
	}
	for _, user := range users {
		res := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
		res.User, res.ErrorMessage = user, &empty
		if err := describeScram(im, user, times[user], &res); err != nil {
			res.ErrorCode, res.ErrorMessage = Code(err), MessageOf(err)
		}
		resp.Results = append(resp.Results, res)
	}
	return resp, nil
}

func describeScram(im *controller.Image, user string, asked int, res *kmsg.DescribeUserSCRAMCredentialsResponseResult) error {
	if asked > 1 {
		return &Fault{Kafka: kerr.DuplicateResource, Message: "Cannot describe SCRAM credentials for the same user twice in a single request: " + user}
	}
	have := im.ScramCredentials(user)
	if len(have) == 0 {
		return &Fault{Kafka: kerr.ResourceNotFound, Message: "Attempt to describe a user credential that does not exist: " + user}
	}
	for _, m := range []controller.ScramMechanism{controller.ScramSHA256, controller.ScramSHA512} {
		if c, ok := have[m]; ok {
			info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
			info.Mechanism, info.Iterations = int8(m), c.Iterations
			res.CredentialInfos = append(res.CredentialInfos, info)
		}
	}
	return nil
}

// handleAlterUserScramCredentials makes and removes credentials, each user on its own. They are kept for listeners that ask for a login.
func handleAlterUserScramCredentials(ctx context.Context, n *Node, r *Request) (kmsg.Response, error) {
	req := r.Body.(*kmsg.AlterUserSCRAMCredentialsRequest)
	resp := req.ResponseKind().(*kmsg.AlterUserSCRAMCredentialsResponse)
	deletions := make([]controller.ScramKey, len(req.Deletions))
	for i, d := range req.Deletions {
		deletions[i] = controller.ScramKey{User: d.Name, Mechanism: controller.ScramMechanism(d.Mechanism)}
	}
	upsertions := make([]controller.ScramUpsertion, len(req.Upsertions))
	for i, u := range req.Upsertions {
		upsertions[i] = controller.ScramUpsertion{
			ScramKey:   controller.ScramKey{User: u.Name, Mechanism: controller.ScramMechanism(u.Mechanism)},
			Iterations: u.Iterations, Salt: u.Salt, SaltedPassword: u.SaltedPassword,
		}
	}
	var altered []controller.AlteredScramUser
	err := n.Cluster.Propose(ctx, func(im *controller.Image) (records []controller.Record, _ error) {
		records, altered = controller.AlterScramCredentials(im, deletions, upsertions)
		return records, nil
	})
	if altered == nil { // the proposal was not looked at
		_, altered = controller.AlterScramCredentials(n.Image(), deletions, upsertions)
	}
	for _, a := range altered {
		res := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		failed := err
		if a.Err != nil {
			failed = a.Err
		}
		res.User, res.ErrorCode, res.ErrorMessage = a.User, Code(failed), MessageOf(failed)
		resp.Results = append(resp.Results, res)
	}
	return resp, nil
}
