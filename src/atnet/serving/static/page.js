"use strict";
const byId = (id) => document.getElementById(id);
let language = (localStorage.getItem("language") || navigator.language || "en").toLowerCase().startsWith("pt") ? "pt" : "en";
let shown = null;

const strings = () => STRINGS[language];
const percent = (value) => new Intl.NumberFormat(language, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(value);
const signed = (value) => new Intl.NumberFormat(language, { signDisplay: "exceptZero", minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value);

function element(tag, text, className) {
  const node = document.createElement(tag);
  node.textContent = text;
  if (className) node.className = className;
  return node;
}

function setLanguage(chosen) {
  language = chosen;
  localStorage.setItem("language", chosen);
  document.documentElement.lang = chosen;
  document.title = strings().title;
  for (const node of document.querySelectorAll("[data-string]")) node.textContent = strings()[node.dataset.string];
  for (const button of document.querySelectorAll("[data-language]")) button.setAttribute("aria-pressed", String(button.dataset.language === chosen));
  if (shown) show(shown.text, shown.answer);
}

function showError(message) {
  byId("error").textContent = message;
  byId("error").hidden = !message;
  if (message) byId("result").hidden = true;
}

function show(text, answer) {
  shown = { text, answer };
  const prediction = answer.predictions[0];
  const sentence = prediction.abstain ? strings().abstains : strings().answer;
  byId("answer").textContent = sentence(prediction.label, percent(prediction.score));
  const sorted = Object.entries(prediction.probabilities).sort((a, b) => b[1] - a[1]);
  byId("probabilities").replaceChildren(...sorted.map(probabilityRow));
  byId("legend").textContent = prediction.words ? strings().legend(prediction.label) : strings().long;
  byId("colored").replaceChildren(...(prediction.words ? coloredText(text, prediction.words) : []));
  const strongest = [...(prediction.words || [])].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
  byId("rows").replaceChildren(...strongest.map(wordRow));
  byId("model").textContent = strings().model(answer.model.name, answer.model.version);
  byId("result").hidden = false;
}

function probabilityRow([label, value]) {
  const row = element("li", "");
  const bar = element("meter", "");
  bar.min = 0;
  bar.max = 1;
  bar.value = value;
  bar.setAttribute("aria-hidden", "true");
  row.append(element("span", label, "name"), bar, element("span", percent(value), "value"));
  return row;
}

function coloredText(text, words) {
  // Positions count code points; JavaScript's own count would split an emoji in two.
  const characters = Array.from(text);
  const strongest = Math.max(...words.map((word) => Math.abs(word.contribution)), 1e-9);
  const parts = [];
  let end = 0;
  for (const word of words) {
    if (word.start < end) continue;
    parts.push(document.createTextNode(characters.slice(end, word.start).join("")));
    const share = Math.abs(word.contribution) / strongest;
    const span = element("span", characters.slice(word.start, word.end).join(""), share < 0.05 ? "" : word.contribution > 0 ? "for" : "against");
    span.style.setProperty("--share", share.toFixed(3));
    span.title = signed(word.contribution);
    parts.push(span);
    end = word.end;
  }
  parts.push(document.createTextNode(characters.slice(end).join("")));
  return parts;
}

function wordRow(word) {
  const row = element("tr", "");
  row.append(element("td", word.word), element("td", signed(word.contribution), "number"));
  return row;
}

async function classify(text, explain = true) {
  const key = byId("key").value;
  const headers = { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) };
  const body = JSON.stringify({ text, explain });
  let response;
  try {
    response = await fetch("/v1/predict", { method: "POST", headers, body });
  } catch {
    throw new Error(strings().failed);
  }
  const answer = await response.json();
  // Too long to explain: ask for the prediction alone.
  if (response.status === 422 && explain) return classify(text, false);
  if (response.status === 401) byId("key-row").hidden = false;
  if (!response.ok) throw new Error(strings().errors[answer.error.code] || answer.error.message);
  return answer;
}

async function submit(event) {
  event.preventDefault();
  // A lone surrogate is not valid text.
  const text = byId("text").value.toWellFormed ? byId("text").value.toWellFormed() : byId("text").value;
  const button = byId("send");
  button.disabled = true;
  button.textContent = strings().sending;
  showError("");
  try {
    show(text, await classify(text));
  } catch (error) {
    showError(error.message);
  } finally {
    button.disabled = false;
    button.textContent = strings().send;
  }
}

byId("form").addEventListener("submit", submit);
byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("form").requestSubmit();
});
for (const button of document.querySelectorAll("[data-language]")) button.addEventListener("click", () => setLanguage(button.dataset.language));
setLanguage(language);
