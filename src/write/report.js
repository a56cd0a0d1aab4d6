/* report.js: draws the map and the charts of the report from the JSON in the page.
 * When all is drawn, <html data-ready="CHARTS,OVERLAYS"> says how many; tests wait for it. */
"use strict";

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);

  const element = (tag, text, parent) => {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    if (parent) parent.append(e);
    return e;
  };

  /* ---- map ---- */

  function drawLegend(layer) {
    const box = document.getElementById("legend");
    box.replaceChildren();
    element("div", `${layer.title}, ${layer.unit}`, box);
    if (!layer.stops.length) {
      element("div", "no values", box);
      return;
    }
    const bar = element("div", undefined, box);
    bar.className = "bar";
    bar.style.background = `linear-gradient(to right, ${layer.stops.map((s) => s.colour).join(", ")})`;
    const ticks = element("div", undefined, box);
    ticks.className = "ticks";
    const last = layer.stops.length - 1;
    [0, last / 4, last / 2, (3 * last) / 4, last].forEach((i) =>
      element("span", layer.stops[Math.round(i)].label, ticks));
    element("div", "No colour: no value. Values beyond the ends of the bar take the end's colour. " +
      "Its numbers may be unevenly spaced.", box).className = "note";
  }

  function popup(feature) {
    const box = element("div");
    box.className = "popup";
    element("strong", feature.properties.name, box);
    const list = element("dl", undefined, box);
    for (const row of feature.properties.rows) {
      element("dt", `${row.gas}: ${row.status || "no status"}`, list);
      for (const line of row.lines) element("dd", line, list);
    }
    return box;
  }

  /* Outlines in the colour of the status for the chosen gas. */
  function drawZones(map) {
    const opacity = data.layers.length ? 0.06 : 0.45;
    /* A light line under the coloured one keeps outlines visible on dark colours. */
    const halo = L.geoJSON(data.zones, {
      interactive: false, style: { color: "#ffffff", weight: 5, opacity: 0.8, fill: false } });
    const lines = L.geoJSON(data.zones, {
      style: { weight: 2.5, fillOpacity: opacity },
      onEachFeature: (f, l) => l.bindPopup(() => popup(f)) });
    L.layerGroup([halo, lines]).addTo(map);
    return (gas, shown) => {
      lines.setStyle((f) => {
        const row = f.properties.rows.find((r) => r.gas === gas);
        const colour = row ? row.colour : "#d0d4d8";
        return { color: colour, fillColor: colour, fillOpacity: shown ? opacity : 0,
          opacity: shown ? 1 : 0 };
      });
      halo.setStyle({ opacity: shown ? 0.8 : 0 });
    };
  }

  /* A row of radio buttons; calls back with the index. */
  function choose(box, name, labels, checked, callback) {
    box.querySelectorAll("label").forEach((l) => l.remove());
    labels.forEach((text, i) => {
      const label = element("label", undefined, box);
      const radio = element("input", undefined, label);
      Object.assign(radio, { type: "radio", name, checked: i === checked });
      radio.addEventListener("change", () => callback(i));
      label.append(text);
    });
    box.hidden = labels.length < 2;
  }

  function drawMap() {
    const overlays = data.layers.map((layer) => L.layerGroup(layer.images.map((image) =>
      L.imageOverlay(image.png, image.bounds, { opacity: 0.85, alt: layer.title }))));
    const map = L.map("map", { attributionControl: false, zoomAnimation: false,
      fadeAnimation: false, zoomSnap: 0.25 });
    const zones = data.zones.features.length;
    /* The zones are what the page is about; a layer may reach far beyond them. */
    const extent = zones ? L.geoJSON(data.zones).getBounds().pad(0.08)
      : L.latLngBounds(data.layers[0].images[0].bounds);
    map.fitBounds(extent);
    L.control.scale({ imperial: false }).addTo(map);
    const paint = zones ? drawZones(map) : () => {};

    const gases = [...new Set([...data.layers.map((l) => l.gas),
      ...data.zones.features.flatMap((f) => f.properties.rows.map((r) => r.gas))])];
    let gas = gases[0], title = "", outlines = true;
    const fields = document.getElementById("layers");
    const showLayer = (layer) => {
      title = layer.title;
      overlays.forEach((o, k) => (data.layers[k] === layer ? o.addTo(map) : o.remove()));
      drawLegend(layer);
    };
    const showGas = (k) => {
      gas = gases[k];
      const own = data.layers.filter((l) => l.gas === gas);
      const first = Math.max(0, own.findIndex((l) => l.title === title));
      choose(fields, "layer", own.map((l) => l.title), first, (i) => showLayer(own[i]));
      if (own.length) showLayer(own[first]);
      paint(gas, outlines);
    };
    choose(document.getElementById("gases"), "gas", gases, 0, showGas);
    showGas(0);
    if (zones && data.layers.length) {
      const label = element("label", undefined, document.getElementById("outlines"));
      const box = element("input", undefined, label);
      Object.assign(box, { type: "checkbox", checked: true });
      box.addEventListener("change", () => paint(gas, (outlines = box.checked)));
      label.append("Outlines of the zones, in the colour of their status");
    }
  }

  /* ---- charts ---- */

  const errorBars = {
    id: "errorBars",
    afterDatasetsDraw(chart) {
      const g = chart.ctx;
      g.save();
      g.strokeStyle = "#1f2933";
      g.lineWidth = 1.5;
      chart.data.datasets.forEach((set, k) => {
        chart.getDatasetMeta(k).data.forEach((bar, i) => {
          const value = set.data[i], sd = set.sd[i];
          if (value === null || sd === null) return;
          const from = chart.scales.x.getPixelForValue(value - sd);
          const to = chart.scales.x.getPixelForValue(value + sd);
          g.beginPath();
          g.moveTo(from, bar.y);
          g.lineTo(to, bar.y);
          for (const x of [from, to]) {
            g.moveTo(x, bar.y - 4);
            g.lineTo(x, bar.y + 4);
          }
          g.stroke();
        });
      });
      g.restore();
    },
  };

  /* Axis limits that hold the error bars, which Chart.js does not know. */
  function limits(series) {
    const ends = [0];
    for (const s of series) {
      s.value.forEach((v, i) => {
        if (v !== null) ends.push(v - (s.sd[i] || 0), v + (s.sd[i] || 0));
      });
    }
    return { suggestedMin: Math.min(...ends), suggestedMax: Math.max(...ends) };
  }

  function drawChart(chart, k) {
    const box = document.getElementById(`chart-${k}`);
    box.style.height = `${90 + chart.zones.length * 22 * (chart.series.length + 0.6)}px`;
    return new Chart(box.querySelector("canvas"), {
      type: "bar",
      data: {
        labels: chart.zones,
        datasets: chart.series.map((s) => ({ label: s.label, data: s.value, sd: s.sd,
          backgroundColor: s.colour, maxBarThickness: 18 })),
      },
      options: {
        indexAxis: "y", animation: false, responsive: true, maintainAspectRatio: false,
        scales: {
          x: { ...limits(chart.series), title: { display: true, text: chart.unit } },
          y: { ticks: { autoSkip: false,
            callback(value) {
              const name = this.getLabelForValue(value);
              return name.length > 24 ? name.slice(0, 23) + "…" : name;
            } } },
        },
        plugins: {
          legend: { position: "top", align: "start" },
          tooltip: { callbacks: { label: (item) => {
            const sd = item.dataset.sd[item.dataIndex];
            const text = `${item.dataset.label}: ${Number(item.raw.toPrecision(4))}`;
            return sd === null ? text : `${text} ± ${Number(sd.toPrecision(2))}`;
          } } },
        },
      },
      plugins: [errorBars],
    });
  }

  if (document.getElementById("map")) drawMap();
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Chart.defaults.color = "#1f2933";
  const charts = data.charts.map(drawChart);
  window.addEventListener("beforeprint", () => charts.forEach((c) => c.resize()));
  window.addEventListener("afterprint", () => charts.forEach((c) => c.resize()));

  const decoded = data.layers.flatMap((layer) => layer.images).map(({ png }) => {
    const image = new Image();
    image.src = png;
    return image.decode().then(() => 1, () => 0);
  });
  Promise.all(decoded).then((ok) => {
    document.documentElement.dataset.ready = `${charts.length},${ok.reduce((a, b) => a + b, 0)}`;
  });
})();
