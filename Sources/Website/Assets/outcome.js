// Times in the reader's own zone; the copy buttons come with the common part.
import "./common.js";

for (const time of document.querySelectorAll("time[datetime]")) {
  time.title = new Date(time.dateTime).toLocaleString();
}
