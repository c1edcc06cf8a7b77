package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"time"

	privvalproto "github.com/cometbft/cometbft/proto/tendermint/privval"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

// A vector is a request as a node writes it, the bytes CometBFT itself would sign for it, and the
// answer as its own signer writes it, with signatures of 64 bytes 1 and 64 bytes 2.
type vector struct {
	Request   string `json:"request"`
	Chain     string `json:"chain"`
	Sign      string `json:"sign"`
	Extension string `json:"extension,omitempty"`
	Response  string `json:"response"`
}

// vectors prints count of them as JSON lines, the same ones for the same seed.
func vectors(count int, seed int64) error {
	random := rand.New(rand.NewSource(seed))
	out := json.NewEncoder(os.Stdout)
	for i := 0; i < count; i++ {
		chain := chains[random.Intn(len(chains))]
		var line vector
		var err error
		if random.Intn(4) == 0 {
			line, err = proposalVector(random, chain)
		} else {
			line, err = voteVector(random, chain)
		}
		if err != nil {
			return err
		}
		if err := out.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

var chains = []string{"a", "test-chain-1", "virtengine-1", "0123456789012345678901234567890123456789012345678-"}

func voteVector(random *rand.Rand, chain string) (vector, error) {
	vote := randomVote(random)
	message := privvalproto.Message{Sum: &privvalproto.Message_SignVoteRequest{
		SignVoteRequest: &privvalproto.SignVoteRequest{Vote: vote, ChainId: chain},
	}}
	request, err := message.Marshal()
	if err != nil {
		return vector{}, err
	}
	line := vector{
		Request: hex.EncodeToString(request),
		Chain:   chain,
		Sign:    hex.EncodeToString(types.VoteSignBytes(chain, vote)),
	}
	vote.Signature = bytes.Repeat([]byte{1}, 64)
	if vote.Type == cmtproto.PrecommitType && len(vote.BlockID.Hash) > 0 {
		line.Extension = hex.EncodeToString(types.VoteExtensionSignBytes(chain, vote))
		vote.ExtensionSignature = bytes.Repeat([]byte{2}, 64)
	}
	answer := privvalproto.Message{Sum: &privvalproto.Message_SignedVoteResponse{
		SignedVoteResponse: &privvalproto.SignedVoteResponse{Vote: *vote},
	}}
	response, err := answer.Marshal()
	line.Response = hex.EncodeToString(response)
	return line, err
}

func proposalVector(random *rand.Rand, chain string) (vector, error) {
	round := randomRound(random)
	polRound := int32(-1)
	if round > 0 && random.Intn(2) == 0 {
		polRound = random.Int31n(round)
	}
	proposal := &cmtproto.Proposal{
		Type: cmtproto.ProposalType, Height: randomHeight(random), Round: round, PolRound: polRound,
		BlockID: randomBlock(random), Timestamp: randomTime(random),
	}
	message := privvalproto.Message{Sum: &privvalproto.Message_SignProposalRequest{
		SignProposalRequest: &privvalproto.SignProposalRequest{Proposal: proposal, ChainId: chain},
	}}
	request, err := message.Marshal()
	if err != nil {
		return vector{}, err
	}
	line := vector{
		Request: hex.EncodeToString(request),
		Chain:   chain,
		Sign:    hex.EncodeToString(types.ProposalSignBytes(chain, proposal)),
	}
	proposal.Signature = bytes.Repeat([]byte{1}, 64)
	answer := privvalproto.Message{Sum: &privvalproto.Message_SignedProposalResponse{
		SignedProposalResponse: &privvalproto.SignedProposalResponse{Proposal: *proposal},
	}}
	response, err := answer.Marshal()
	line.Response = hex.EncodeToString(response)
	return line, err
}

func randomVote(random *rand.Rand) *cmtproto.Vote {
	vote := &cmtproto.Vote{
		Type: cmtproto.PrevoteType, Height: randomHeight(random), Round: randomRound(random),
		Timestamp: randomTime(random), ValidatorAddress: randomBytes(random, 20),
		ValidatorIndex: random.Int31n(200),
	}
	if random.Intn(2) == 0 {
		vote.Type = cmtproto.PrecommitType
	}
	if random.Intn(4) != 0 {
		vote.BlockID = randomBlock(random)
		if vote.Type == cmtproto.PrecommitType && random.Intn(2) == 0 {
			vote.Extension = randomBytes(random, random.Intn(300))
		}
	}
	return vote
}

func randomHeight(random *rand.Rand) int64 {
	return 1 + random.Int63n(int64(1)<<uint(1+random.Intn(62)))
}

func randomRound(random *rand.Rand) int32 {
	if random.Intn(2) == 0 {
		return 0
	}
	return random.Int31n(1 << uint(1+random.Intn(30)))
}

func randomTime(random *rand.Rand) time.Time {
	switch random.Intn(6) {
	case 0:
		return time.Time{}
	case 1:
		return time.Unix(random.Int63n(4_000_000_000), 0).UTC()
	case 2:
		return time.Unix(-random.Int63n(4_000_000_000), random.Int63n(1_000_000_000)).UTC()
	default:
		return time.Unix(random.Int63n(4_000_000_000), random.Int63n(1_000_000_000)).UTC()
	}
}

func randomBlock(random *rand.Rand) cmtproto.BlockID {
	return cmtproto.BlockID{
		Hash: randomBytes(random, 32),
		PartSetHeader: cmtproto.PartSetHeader{
			Total: 1 + random.Uint32()>>uint(random.Intn(32)), Hash: randomBytes(random, 32),
		},
	}
}

func randomBytes(random *rand.Rand, count int) []byte {
	bytes := make([]byte, count)
	random.Read(bytes)
	return bytes
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(words []string) error {
	if len(words) == 3 && words[0] == "vectors" {
		var count int
		var seed int64
		if _, err := fmt.Sscan(words[1], &count); err != nil {
			return err
		}
		if _, err := fmt.Sscan(words[2], &seed); err != nil {
			return err
		}
		return vectors(count, seed)
	}
	if len(words) == 2 && words[0] == "ask" && isAddress(words[1]) {
		return ask(words[1])
	}
	return fmt.Errorf("usage: comet vectors COUNT SEED | comet ask ADDRESS")
}
