"use strict";
const $ = id => document.getElementById(id);
const show = (element, on) => { element.hidden = !on; };
const seconds = s => s < 90 ? `${Math.max(1, Math.round(s))} s` : `${Math.round(s / 60)} min`;

async function ask(path, options = {}) {
  let answer;
  try { answer = await fetch(path, { credentials: "same-origin", ...options }); }
  catch { throw new Error("viewmask app does not answer: is it still running?"); }
  const record = await answer.json().catch(() => ({ error: `the answer was ${answer.status}` }));
  if (!answer.ok) throw new Error(record.error);
  return record;
}

function complain(error, where = "complaint") {
  $(where).textContent = error ? error.message || error : "";
  show($(where), Boolean(error));
}

// ---- what can be chosen --------------------------------------------------------------------------
let state, photo = null, sent = Promise.resolve();
for (const words of ["a red chair", "a green bottle", "a wooden table"]) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = words;
  button.onclick = () => { $("text").value = words; };
  $("examples").append(button);
}
for (const button of document.querySelectorAll("[title='Another seed']"))
  button.onclick = () => { button.previousElementSibling.value = Math.floor(Math.random() * 1e6); };

function options(select, names) { select.replaceChildren(...names.map(name => new Option(name, name))); }

function usual() {  // what is taken where nothing is chosen
  const settings = state.speeds[$("speed").value][photo ? "image" : "text"];
  $("steps").placeholder = settings.steps;
  $("guidance").placeholder = settings.guidance;
  $("schedule").options[0].text = `usual (${settings.schedule})`;
  $("text").placeholder = photo ? "what it shows, if you like" : "a red chair";
}
$("speed").onchange = usual;

// ---- brushes, and buttons of which one is pressed -------------------------------------------------
function pills(box, chosen) {
  const buttons = [...box.children];
  buttons.forEach((button, i) => {
    button.onclick = () => { buttons.forEach((each, j) => each.setAttribute("aria-pressed", i == j)); chosen(i); };
  });
}

function brush(canvas, mask, size, { adds, paint, done }) {  // strokes on a canvas, painted into a mask of it
  let stroke = null;
  const dab = event => {
    const box = canvas.getBoundingClientRect(), share = mask.width / box.width, pen = mask.getContext("2d");
    const at = { x: (event.clientX - box.left) * share, y: (event.clientY - box.top) * share };
    pen.globalCompositeOperation = adds() ? "source-over" : "destination-out";
    pen.lineCap = "round";
    pen.lineWidth = size.value / 400 * Math.max(mask.width, mask.height);
    pen.strokeStyle = "#fff";
    pen.beginPath();
    pen.moveTo((stroke || at).x, (stroke || at).y);
    pen.lineTo(at.x, at.y);
    pen.stroke();
    stroke = at;
    paint();
  };
  canvas.addEventListener("pointerdown", event => { canvas.setPointerCapture(event.pointerId); stroke = null; dab(event); });
  canvas.addEventListener("pointermove", event => { if (stroke) dab(event); });
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, () => { if (stroke) { stroke = null; done(); } });
}

function flat(mask) {  // what was painted as a picture: white on black
  const plain = document.createElement("canvas"), pen = plain.getContext("2d");
  plain.width = mask.width;
  plain.height = mask.height;
  pen.drawImage(mask, 0, 0);
  pen.globalCompositeOperation = "source-in";
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, plain.width, plain.height);
  pen.globalCompositeOperation = "destination-over";
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, plain.width, plain.height);
  return new Promise(done => plain.toBlob(done));
}

// ---- the picture: drop, paste, choose; its cut-out under a brush -----------------------------------
const canvas = document.querySelector("#easel canvas"), pen = canvas.getContext("2d");
const mask = document.createElement("canvas"), veil = document.createElement("canvas");
const picture = new Image();
let keep = true;

async function take(file) {
  if (!file) return;
  complain(null);
  if (file.size > state.limits.file) { complain(`that is too large: ${state.limits.file >> 20} MB at most`); return; }
  $("make").disabled = true;
  show($("reading"), true);
  try { await shown(await ask(`api/photos?name=${encodeURIComponent(file.name || "photo.png")}`, { method: "POST", body: file })); }
  catch (error) { complain(error); }
  $("make").disabled = false;
  show($("reading"), false);
}

const loaded = image => image.decode().then(() => image);

async function shown(record) {
  const other = !photo || photo.id != record.id;
  photo = record;
  usual();
  $("cutout").value = record.cutout;
  if (other) {
    picture.src = `api/photos/${record.id}/picture.webp`;
    await loaded(picture);
    for (const each of [canvas, mask, veil]) { each.width = record.width; each.height = record.height; }
  }
  const layer = mask.getContext("2d");
  layer.globalCompositeOperation = "source-over";
  layer.clearRect(0, 0, mask.width, mask.height);
  if (record.how) {
    const cut = new Image();
    cut.src = `api/photos/${record.id}/cutout.png?${record.version}`;
    layer.drawImage(await loaded(cut), 0, 0);
  }
  say();
  paint();
  show($("photo"), true);
  show($("drop"), false);
}

function say() {
  $("how").classList.toggle("error", Boolean(photo.trouble));
  $("how").textContent = photo.trouble ? `${photo.trouble}. You can paint over the object.`
    : [`Cut out by ${photo.how}.`, ...photo.notes].join(" ");
}

function chequers(pen) {  // as picture editors show what is transparent
  const side = Math.max(4, Math.round(canvas.width / 40)), tile = document.createElement("canvas");
  tile.width = tile.height = 2 * side;
  const brush = tile.getContext("2d"), style = getComputedStyle(document.documentElement);
  brush.fillStyle = style.getPropertyValue("--card");
  brush.fillRect(0, 0, 2 * side, 2 * side);
  brush.fillStyle = style.getPropertyValue("--line");
  brush.fillRect(0, 0, side, side);
  brush.fillRect(side, side, side, side);
  return pen.createPattern(tile, "repeat");
}

function paint() {
  const cover = veil.getContext("2d");
  cover.globalCompositeOperation = "source-over";
  cover.clearRect(0, 0, veil.width, veil.height);
  cover.fillStyle = chequers(cover);
  cover.globalAlpha = 0.86;
  cover.fillRect(0, 0, veil.width, veil.height);
  cover.globalAlpha = 1;
  cover.globalCompositeOperation = "destination-out";
  cover.drawImage(mask, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  pen.drawImage(veil, 0, 0);
}

brush(canvas, mask, $("size"), { adds: () => keep, paint, done: mended });
pills($("brush"), i => { keep = i == 0; });

function mended() {
  const key = photo.id;
  sent = sent.then(() => flat(mask)).then(async blob => {
    const record = await ask(`api/photos/${key}`, { method: "PUT", body: blob });
    if (photo && photo.id == key) { photo = record; say(); complain(null); }
  }).catch(complain);
}

const recut = way => { sent = sent.then(() => ask(`api/photos/${photo.id}?cutout=${way}`, { method: "PUT" })).then(shown).catch(complain); };
$("cutout").onchange = () => recut($("cutout").value);
$("restart").onclick = () => recut(photo.cutout);
$("without").onclick = () => { photo = null; show($("photo"), false); show($("drop"), true); usual(); };

for (const input of document.querySelectorAll("input[type=file]")) input.onchange = () => { take(input.files[0]); input.value = ""; };
addEventListener("paste", event => { const file = [...event.clipboardData.files][0]; if (file) { event.preventDefault(); take(file); } });
addEventListener("dragover", event => { event.preventDefault(); document.body.classList.add("over"); });
addEventListener("dragleave", event => { if (!event.relatedTarget) document.body.classList.remove("over"); });
addEventListener("drop", event => { event.preventDefault(); document.body.classList.remove("over"); take(event.dataTransfer.files[0]); });

// ---- an order, and what becomes of it --------------------------------------------------------------
let job = null, timer = 0;
$("order").onsubmit = async event => {
  event.preventDefault();
  complain(null);
  $("make").disabled = true;
  await sent;
  const order = { text: $("text").value.replace(/\s+/g, " ").trim(), picture: photo ? photo.id : "", speed: $("speed").value };
  if ($("schedule").value) order.schedule = $("schedule").value;
  for (const name of ["seed", "draws", "views", "steps", "guidance"]) if ($(name).value != "") order[name] = Number($(name).value);
  try {
    follow(await ask("api/jobs", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(order) }));
    if (matchMedia("(max-width: 820px)").matches) $("result").scrollIntoView({ behavior: "smooth" });
  } catch (error) { complain(error); }
  $("make").disabled = false;
};
$("text").onkeydown = event => { if (event.key == "Enter" && !event.shiftKey) { event.preventDefault(); $("order").requestSubmit(); } };
$("cancel").onclick = () => ask(`api/jobs/${job.id}`, { method: "DELETE" }).then(follow).catch(complain);

const over = each => ["done", "failed", "cancelled"].includes(each.state);

function follow(record) {
  job = record;
  sessionStorage.setItem("job", job.id);  // of this tab; others may follow another
  clearTimeout(timer);
  render();
  if (over(job)) { refresh(); return; }
  timer = setTimeout(poll, 300);
}

async function poll() {
  const key = job.id;
  try {
    const record = await ask(`api/jobs/${key}`);
    if (job.id == key) follow(record);
  } catch (error) {
    complain(error, "failure");
    timer = setTimeout(poll, 3000);
  }
}

function words() {
  const left = job.left ? ` · about ${seconds(job.left)} left` : "";
  switch (job.state) {
    case "waiting": return (job.ahead ? `${job.ahead} before yours` : "Next") + left;
    case "views": return `Views: step ${job.step} of ${job.steps}${left}`;
    case "mesh": return `Mesh: ${job.doing || "beginning"}${left}`;
    case "done": return job.text || job.picture || "A part made anew";
    case "failed": return "It did not work";
    default: return "Cancelled: nothing was kept";
  }
}

let drawn = "", latest = 0;
function board(source, draws, kept) {
  const key = [source, draws, kept].join();
  if (key == drawn) return;
  drawn = key;
  const number = ++latest, image = new Image();
  const lay = () => {
    if (number != latest) return;
    $("board").classList.toggle("many", draws > 1);
    const rows = [];
    for (let draw = 0; draw < draws; draw++) {
      const row = document.createElement("div");
      row.className = draw === kept ? "draw kept" : "draw";
      row.style.setProperty("--columns", job.views > 4 && draws == 1 ? 4 : job.views);
      for (let view = 0; view < job.views; view++) {
        const tile = document.createElement("div"), angle = document.createElement("span");
        tile.className = "view";
        angle.textContent = `${Math.round(view * 360 / job.views)}°`;
        tile.append(angle);
        if (source) {
          tile.style.backgroundImage = `url("${source}")`;
          tile.style.backgroundSize = `${100 * job.views}% ${100 * draws}%`;
          tile.style.backgroundPosition = `${job.views > 1 ? 100 * view / (job.views - 1) : 0}% ${draws > 1 ? 100 * draw / (draws - 1) : 0}%`;
        }
        row.append(tile);
      }
      rows.push(row);
    }
    $("board").replaceChildren(...rows);
  };
  if (!source) return lay();
  image.onload = lay;
  image.src = source;
}

const slider = document.querySelector("#replay input"), count = document.querySelector("#replay output");
const stepPicture = step => `api/jobs/${job.id}/steps/${step}`;
const filePath = name => `api/jobs/${job.id}/files/${name}`;

function replay() {
  const step = Number(slider.value), last = step == job.step && job.files.includes("last.webp");
  count.textContent = `${step} of ${job.step}`;
  if (last) board(filePath("last.webp"), 1, null);
  else board(stepPicture(step), job.draws, job.kept);
}
slider.oninput = replay;

const LABELS = { "mesh.glb": "GLB", "obj.zip": "OBJ", "mesh.ply": "PLY", "mesh.stl": "STL", "mesh.3mf": "3MF", "views.zip": "Views (zip)", "page.html": "Page", "region.png": "Region" };

function render() {
  const running = !over(job);
  $("doing").textContent = words();
  show($("status"), true);
  show($("cancel"), running);
  show($("bar"), running);
  $("bar").value = 0.6 * job.step / job.steps + 0.4 * job.share;
  complain(job.error, "failure");
  $("notes").replaceChildren(...job.notes.map(note => { const item = document.createElement("li"); item.textContent = note; return item; }));
  const finished = job.state == "done", mesh = finished && job.files.includes("page.html");
  show($("replay"), finished);
  if (finished) {
    if (slider.dataset.job != job.id) { slider.dataset.job = job.id; slider.max = job.step; slider.value = job.step; }
    replay();
  } else board(job.step ? stepPicture(job.step) : "", job.draws, null);
  show($("mesh"), mesh);
  const source = mesh ? `${filePath("page.html")}#bare` : "about:blank";
  if ($("mesh").getAttribute("src") != source) $("mesh").setAttribute("src", source);
  show($("downloads"), finished);
  $("downloads").replaceChildren(...Object.keys(LABELS).filter(name => job.files.includes(name)).map(name => {
    const link = document.createElement("a");
    link.href = filePath(name);
    link.download = `${job.name}${{ "views.zip": "-views.zip", "obj.zip": "-obj.zip", "region.png": "-region.png" }[name] || name.slice(name.lastIndexOf("."))}`;
    link.textContent = LABELS[name];
    return link;
  }));
  show($("recipe"), true);
  show($("promise"), false);
  $("command").textContent = job.command;
  $("means").textContent = [
    job.mended ? "cutout.png is in the first views' zip: it is your painted picture." : "",
    job.edit ? "The region is among the downloads: it is what you painted." : "",
  ].join(" ").trim();
  show($("undo"), job.edit && Boolean(job.base));
  show($("anew"), finished);
  if (finished) lay();
}
$("undo").onclick = () => ask(`api/jobs/${job.base}`).then(follow).catch(complain);
$("copy").onclick = async () => { await navigator.clipboard.writeText($("command").textContent); $("copy").textContent = "Copied"; setTimeout(() => { $("copy").textContent = "Copy"; }, 1500); };

async function refresh() {
  try { state = await ask("api/state"); } catch (error) { complain(error); return; }
  const others = state.jobs.filter(each => each.state == "done");
  $("earlier").replaceChildren(...(others.length < 2 && others[0]?.id == job?.id ? [] : others.reverse().map(each => {
    const button = document.createElement("button"), view = document.createElement("i");
    view.style.backgroundImage = `url("api/jobs/${each.id}/files/last.webp")`;
    view.style.backgroundSize = `${100 * each.views}% 100%`;
    button.type = "button";
    const name = (each.edit ? "edited: " : "") + (each.text || each.picture || "a part");
    button.append(view, name);
    button.title = name;
    button.setAttribute("aria-current", job?.id == each.id);
    button.onclick = () => ask(`api/jobs/${each.id}`).then(follow).catch(complain);
    return button;
  })));
}

// ---- a part of the views, made anew ----------------------------------------------------------------
const slate = document.querySelector("#slate canvas"), ink = slate.getContext("2d");
const region = document.createElement("canvas"), glaze = document.createElement("canvas");
const strip = new Image();  // the finished views side by side
let angle = 0, adding = true, everywhere = true;

function lay() {  // once for each result
  if (slate.dataset.job == job.id) return;
  slate.dataset.job = job.id;
  $("anew").open = false;
  $("shall").value = job.text;
  $("shall").maxLength = state.limits.text;
  region.width = region.height = glaze.width = glaze.height = job.side;
  slate.width = slate.height = 2 * Math.max(job.side, 256);
  angle = 0;
  $("angles").replaceChildren(...Array.from({ length: job.views }, (_, view) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${Math.round(view * 360 / job.views)}°`;
    button.setAttribute("aria-pressed", view == 0);
    return button;
  }));
  pills($("angles"), view => { angle = view; wipe(); });
  strip.src = filePath("last.webp");
  loaded(strip).then(wipe);
}

function wipe() {
  region.getContext("2d").clearRect(0, 0, region.width, region.height);
  sketch();
}

function sketch() {
  const side = strip.height, pen = glaze.getContext("2d"), colour = getComputedStyle(document.documentElement).getPropertyValue("--warm");
  ink.clearRect(0, 0, slate.width, slate.height);
  ink.drawImage(strip, angle * side, 0, side, side, 0, 0, slate.width, slate.height);
  pen.globalCompositeOperation = "source-over";
  pen.clearRect(0, 0, glaze.width, glaze.height);
  pen.drawImage(region, 0, 0);
  pen.globalCompositeOperation = "source-in";
  pen.fillStyle = colour;
  pen.fillRect(0, 0, glaze.width, glaze.height);
  ink.globalAlpha = 0.55;
  ink.drawImage(glaze, 0, 0, slate.width, slate.height);
  ink.globalAlpha = 1;
  // Squares that are made anew whole: those with a pixel that the program will count as painted.
  const painted = region.getContext("2d").getImageData(0, 0, region.width, region.height).data, squares = new Set();
  for (let i = 0; i < region.width * region.height; i++) {
    if (painted[4 * i + 3] < 128) continue;
    const place = axis => Math.floor(axis * job.grid / region.width);
    squares.add(place(Math.floor(i / region.width)) * job.grid + place(i % region.width));
  }
  const width = slate.width / job.grid;
  ink.strokeStyle = colour;
  ink.lineWidth = 2;
  for (const square of squares) ink.strokeRect(square % job.grid * width + 2, Math.floor(square / job.grid) * width + 2, width - 4, width - 4);
  $("redo").disabled = squares.size == 0;
}

brush(slate, region, $("width"), { adds: () => adding, paint: sketch, done: () => complain(null, "objection") });
pills($("ink"), i => { adding = i == 0; });
pills($("reach"), i => { everywhere = i == 0; });
$("clear").onclick = wipe;

$("redo").onclick = async () => {
  complain(null, "objection");
  $("redo").disabled = true;
  const order = { text: $("shall").value.replace(/\s+/g, " ").trim(), view: angle, everywhere, mesh: $("remesh").checked, seed: Number($("again").value) };
  if ($("pull").value != "") order.guidance = Number($("pull").value);
  try {
    const path = `api/jobs/${job.id}/edits?order=${encodeURIComponent(JSON.stringify(order))}`;
    follow(await ask(path, { method: "POST", body: await flat(region) }));
    $("result").scrollIntoView({ behavior: "smooth" });
  } catch (error) { complain(error, "objection"); }
  $("redo").disabled = false;
};

async function begin() {
  await refresh();
  if (!state) return;
  options($("cutout"), state.cutouts);
  options($("speed"), Object.keys(state.speeds));
  options($("schedule"), state.schedules);
  $("schedule").prepend(new Option("usual", "", true, true));
  for (const [name, value] of Object.entries(state.usual)) $(name).value = value;
  for (const name of ["seed", "draws", "steps"]) [$(name).min, $(name).max] = state.limits[name];
  $("text").maxLength = state.limits.text;
  usual();
  const own = state.jobs.find(each => each.id == sessionStorage.getItem("job")) || state.jobs.at(-1);
  if (own) {
    $("text").value = own.text;
    ask(`api/jobs/${own.id}`).then(follow).catch(complain);
  } else {
    job = { id: "", views: 4, draws: 1 };
    board("", 1, null);
    job = null;
  }
}
begin();
