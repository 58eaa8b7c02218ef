// Names of Node.js that some packages below Element expect everywhere.
export { Buffer } from "element:buffer";
export { default as process } from "element:process/browser.js";
