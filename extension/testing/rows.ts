/** What the ledger counts of one kind of request. */
export const PAGE_ROW = {
  shield: "typing",
  action: "answered",
  host: "hs.example",
  endpoint: "rooms/{}/typing/{}",
  count: 1,
  last: 0,
} as const;
