package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/cometbft/cometbft/crypto"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/log"
	cmtnet "github.com/cometbft/cometbft/libs/net"
	"github.com/cometbft/cometbft/privval"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

// A question is one line of standard input: what the node asks its signer.
type question struct {
	// Ask is ping, key, vote, proposal or hangup.
	Ask       string `json:"ask"`
	Chain     string `json:"chain"`
	Precommit bool   `json:"precommit"`
	Height    int64  `json:"height"`
	Round     int32  `json:"round"`
	// Block fills a block id; 0 is nil.
	Block     byte   `json:"block"`
	Seconds   int64  `json:"seconds"`
	Extension string `json:"extension"`
}

// An answer is one line of standard output.
type answer struct {
	Key                string `json:"key,omitempty"`
	Signature          string `json:"signature,omitempty"`
	ExtensionSignature string `json:"extension_signature,omitempty"`
	Seconds            int64  `json:"seconds,omitempty"`
	// Valid says whether CometBFT itself takes the signature, and that over the extension.
	Valid bool   `json:"valid,omitempty"`
	Error string `json:"error,omitempty"`
	// TookUs is the time from the question to the answer.
	TookUs int64 `json:"took_us"`
}

// ask listens as a node does and asks its signer what standard input says.
func ask(address string) error {
	endpoint, err := listen(address)
	if err != nil {
		return err
	}
	client, err := privval.NewSignerClient(endpoint, "")
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.WaitForConnection(20 * time.Second); err != nil {
		return err
	}
	// As a node does: it asks again where the connection ends, and not where it is refused.
	asking := privval.NewRetrySignerClient(client, 50, 100*time.Millisecond)
	out := json.NewEncoder(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return err
		}
		started := time.Now()
		told, err := put(asking, endpoint, asked)
		told.TookUs = time.Since(started).Microseconds()
		if err != nil {
			told.Error = err.Error()
		}
		if err := out.Encode(told); err != nil {
			return err
		}
	}
	return lines.Err()
}

func listen(address string) (*privval.SignerListenerEndpoint, error) {
	protocol, place := cmtnet.ProtocolAndAddress(address)
	listener, err := net.Listen(protocol, place)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "listening at %s\n", listener.Addr())
	if protocol == "unix" {
		listener = privval.NewUnixListener(listener)
	} else {
		listener = privval.NewTCPListener(listener, ed25519.GenPrivKey())
	}
	endpoint := privval.NewSignerListenerEndpoint(log.NewNopLogger(), listener)
	return endpoint, endpoint.Start()
}

func put(
	client *privval.RetrySignerClient, endpoint *privval.SignerListenerEndpoint, asked question,
) (answer, error) {
	switch asked.Ask {
	case "ping":
		return answer{}, client.Ping()
	case "hangup":
		endpoint.DropConnection()
		return answer{}, endpoint.WaitForConnection(20 * time.Second)
	case "key":
		key, err := client.GetPubKey()
		if err != nil {
			return answer{}, err
		}
		return answer{Key: hex.EncodeToString(key.Bytes())}, nil
	case "vote":
		return putVote(client, asked)
	case "proposal":
		return putProposal(client, asked)
	}
	return answer{}, errors.New("unknown question " + asked.Ask)
}

func putVote(client *privval.RetrySignerClient, asked question) (answer, error) {
	extension, err := hex.DecodeString(asked.Extension)
	if err != nil {
		return answer{}, err
	}
	vote := &cmtproto.Vote{
		Type: cmtproto.PrevoteType, Height: asked.Height, Round: asked.Round,
		BlockID: blockOf(asked.Block), Timestamp: time.Unix(asked.Seconds, 0).UTC(),
		ValidatorAddress: bytes.Repeat([]byte{7}, 20), Extension: extension,
	}
	if asked.Precommit {
		vote.Type = cmtproto.PrecommitType
	}
	if err := client.SignVote(asked.Chain, vote); err != nil {
		return answer{}, err
	}
	key, err := client.GetPubKey()
	if err != nil {
		return answer{}, err
	}
	vote.Extension = extension
	return answer{
		Signature:          hex.EncodeToString(vote.Signature),
		ExtensionSignature: hex.EncodeToString(vote.ExtensionSignature),
		Seconds:            vote.Timestamp.Unix(),
		Valid:              validVote(key, asked.Chain, vote),
	}, nil
}

// validVote holds a vote against CometBFT's own rules, with extensions enabled.
func validVote(key crypto.PubKey, chain string, vote *cmtproto.Vote) bool {
	extends := vote.Type == cmtproto.PrecommitType && len(vote.BlockID.Hash) > 0
	if extends != (len(vote.ExtensionSignature) > 0) {
		return false
	}
	if extends &&
		!key.VerifySignature(types.VoteExtensionSignBytes(chain, vote), vote.ExtensionSignature) {
		return false
	}
	return key.VerifySignature(types.VoteSignBytes(chain, vote), vote.Signature)
}

func putProposal(client *privval.RetrySignerClient, asked question) (answer, error) {
	proposal := &cmtproto.Proposal{
		Type: cmtproto.ProposalType, Height: asked.Height, Round: asked.Round, PolRound: -1,
		BlockID: blockOf(asked.Block), Timestamp: time.Unix(asked.Seconds, 0).UTC(),
	}
	if err := client.SignProposal(asked.Chain, proposal); err != nil {
		return answer{}, err
	}
	key, err := client.GetPubKey()
	if err != nil {
		return answer{}, err
	}
	signBytes := types.ProposalSignBytes(asked.Chain, proposal)
	return answer{
		Signature: hex.EncodeToString(proposal.Signature),
		Seconds:   proposal.Timestamp.Unix(),
		Valid:     key.VerifySignature(signBytes, proposal.Signature),
	}, nil
}

func blockOf(fill byte) cmtproto.BlockID {
	if fill == 0 {
		return cmtproto.BlockID{}
	}
	hash := bytes.Repeat([]byte{fill}, 32)
	return cmtproto.BlockID{Hash: hash, PartSetHeader: cmtproto.PartSetHeader{Total: 1, Hash: hash}}
}

func isAddress(text string) bool {
	return strings.HasPrefix(text, "tcp://") || strings.HasPrefix(text, "unix://")
}
