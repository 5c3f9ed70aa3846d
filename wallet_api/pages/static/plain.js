// A page with nothing on it but the two switches.

import { ready } from "/phone/static/look.js";

ready();
