// The local wrapper page of a Jitsi call: opens the conference in a frame, as Element's does.
const params = new URLSearchParams(location.hash.slice(1));
const domain = params.get("conferenceDomain") ?? "meet.element.io";
const conference = params.get("conferenceId") ?? "";
const info = new URLSearchParams({
  "userInfo.displayName": JSON.stringify(params.get("displayName") ?? ""),
  "userInfo.email": JSON.stringify(params.get("userId") ?? ""),
  "config.subject": JSON.stringify(params.get("roomName") ?? ""),
});
const frame = document.createElement("iframe");
frame.src = `https://${domain}/${encodeURIComponent(conference)}#${info.toString()}`;
// Tells `openFrame` that the conference's page came; the empty one before it can be looked into.
frame.addEventListener("load", () => {
  try {
    void frame.contentWindow?.location.href;
  } catch {
    parent.postMessage("frame page runs", "*");
  }
});
document.getElementById("jitsiContainer")?.append(frame);

export {};
