// CosmJS on the other side of a multi-signature account. One JSON document in, one out.
//
// "prepare": the account's address and the bytes to sign of a transaction, as CosmJS makes them.
// "check": what CosmJS makes of our signatures, and whether it verifies what we made.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(process.argv[2] + "/");
const { createMultisigThresholdPubkey, makeSignDoc, pubkeyToAddress, serializeSignDoc } = require("@cosmjs/amino");
const { Secp256k1, Secp256k1Signature, sha256 } = require("@cosmjs/crypto");
const { fromBase64, fromHex, toBase64, toUtf8 } = require("@cosmjs/encoding");
const { AminoTypes, createDefaultAminoConverters, defaultRegistryTypes, makeMultisignedTxBytes } = require("@cosmjs/stargate");
const { Registry } = require("@cosmjs/proto-signing");
const { AuthInfo, SignerInfo, TxRaw } = require("cosmjs-types/cosmos/tx/v1beta1/tx");
const { MultiSignature } = require("cosmjs-types/cosmos/crypto/multisig/v1beta1/multisig");

const input = JSON.parse(readFileSync(0, "utf8"));
const members = input.members.map((value) => ({ type: "tendermint/PubKeySecp256k1", value }));
const account = createMultisigThresholdPubkey(members, input.threshold, input.nosort === true);
const address = pubkeyToAddress(account, "ve");
const send = {
  typeUrl: "/cosmos.bank.v1beta1.MsgSend",
  value: {
    fromAddress: address,
    toAddress: pubkeyToAddress(members[0], "ve"),
    amount: [{ denom: "uve", amount: "1000" }],
  },
};
const amino = new AminoTypes(createDefaultAminoConverters());
const fee = { amount: [{ denom: "uve", amount: "500" }], gas: "200000" };
const document = makeSignDoc([amino.toAmino(send)], fee, "virtengine-1", "rent & <more>", 7, 3);
const bytes = serializeSignDoc(document);

function prepare() {
  return { address, sign_bytes: toBase64(bytes) };
}

async function check() {
  const registry = new Registry(defaultRegistryTypes);
  const body = registry.encodeTxBody({ messages: [send], memo: document.memo });
  const signatures = new Map();
  for (const { member, signature } of input.signatures) {
    signatures.set(pubkeyToAddress(members[member], "ve"), fromHex(signature));
  }
  const theirs = TxRaw.decode(makeMultisignedTxBytes(account, 3, fee, body, signatures));
  const info = AuthInfo.decode(theirs.authInfoBytes).signerInfos[0];
  // What we made, taken apart and verified, member by member.
  const ours = MultiSignature.decode(fromBase64(input.final_signature)).signatures;
  const array = SignerInfo.decode(fromBase64(input.signer_info)).modeInfo.multi.bitarray;
  const signing = account.value.pubkeys.filter((_, at) => array.elems[at >> 3] & (0x80 >> (at & 7)));
  const digest = sha256(bytes);
  const verified = [];
  for (const [at, member] of signing.entries()) {
    const signature = Secp256k1Signature.fromFixedLength(ours[at]);
    verified.push(await Secp256k1.verifySignature(signature, digest, fromBase64(member.value)));
  }
  const wrong = sha256(toUtf8("another transaction"));
  const first = Secp256k1Signature.fromFixedLength(ours[0]);
  return {
    final_signature: toBase64(theirs.signatures[0]),
    signer_info: toBase64(SignerInfo.encode(info).finish()),
    verified,
    refuses_another: !(await Secp256k1.verifySignature(first, wrong, fromBase64(signing[0].value))),
  };
}

console.log(JSON.stringify(input.ask === "prepare" ? prepare() : await check()));
