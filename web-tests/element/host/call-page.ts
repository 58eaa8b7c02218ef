/**
 * What an Element of 2026 does for its call page and this older interface does not, which speaks
 * the same widget API in its newer version.
 */
import { MatrixClientPeg } from "element:matrix-react-sdk/src/MatrixClientPeg";
import { StopGapWidgetDriver } from "element:matrix-react-sdk/src/stores/widgets/StopGapWidgetDriver";

/** Lets the interface answer what Element Call of 2026 asks it. */
export function serveCallPage(): void {
  const driver = StopGapWidgetDriver.prototype;
  // The call servers that the homeserver names (MSC4143).
  driver.getRtcTransports = async () =>
    MatrixClientPeg.get()?.http.authedRequest("GET", "/rtc/transports", undefined, undefined, {
      prefix: "/_matrix/client/unstable/org.matrix.msc4143",
    });
  // Events of another kind that this homeserver does not keep.
  driver.readStickyEvents = () => Promise.resolve([]);
  // Delayed events (MSC4140) have lost an argument, and each thing done to them has its own name.
  const sendDelayed = driver.sendDelayedEvent;
  driver.sendDelayedEvent = function (delay, ...event) {
    return sendDelayed.call(this, delay, null, ...event);
  };
  driver.cancelScheduledDelayedEvent = function (id) {
    return this.updateDelayedEvent(id, "cancel");
  };
  driver.restartScheduledDelayedEvent = function (id) {
    return this.updateDelayedEvent(id, "restart");
  };
  driver.sendScheduledDelayedEvent = function (id) {
    return this.updateDelayedEvent(id, "send");
  };
}
