/** Of an encrypted picture, as state names it: nothing of it can be decrypted. */
export const ENCRYPTED_PICTURE = {
  file: {
    v: "v2",
    url: "mxc://hs/sealed",
    key: { alg: "A256CTR", kty: "oct", k: "k".repeat(43) },
    iv: "i".repeat(22),
    hashes: { sha256: "h".repeat(43) },
  },
};
