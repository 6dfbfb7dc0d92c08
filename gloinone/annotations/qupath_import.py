"""Text of OUT/qupath_import.groovy, which brings every GeoJSON into a QuPath project."""

QUPATH_IMPORT = r"""// Brings the glomeruli of a gloinone run into the images of the open QuPath project.
// Written for QuPath 0.4 to 0.6; tested with stand-ins for its classes, not inside QuPath itself.
//
// In QuPath: open the project that holds the slides, Automate > Script editor, open this file
// where it lies, Run. Without a window:
//     QuPath script --project project.qpproj --args OUT qupath_import.groovy
// A GeoJSON belongs to the image whose path ends like the slide's path in the run ("case 7/a.svs");
// if there is none, to the one image of that file name. What cannot be told apart is listed and
// left out. Annotations that are in the image already (same id, so also those that were edited)
// stay as they are: run it as often as you like.

import javafx.application.Platform
import javafx.stage.DirectoryChooser
import java.util.concurrent.FutureTask
import qupath.lib.io.PathIO
import qupath.lib.scripting.QP

// Folder of the run; empty: the first argument, else the folder of this script, else you are asked.
def OUT = ''

def hasSlides = { path -> path && new File(path.toString(), 'slides').isDirectory() }

def outFolder = { ->
    if (OUT)
        return OUT
    if (binding.hasVariable('args') && args && hasSlides(args[0]))
        return args[0]
    def name = 'qupath.script.file'
    def script = binding.hasVariable(name) ? binding.getVariable(name) : null
    def folder = script ? new File(script.toString()).getAbsoluteFile().getParent() : null
    if (hasSlides(folder))
        return folder
    def task = new FutureTask({ ->
        def chooser = new DirectoryChooser()
        chooser.setTitle('Output folder of gloinone')
        return chooser.showDialog(null)?.getPath()
    } as java.util.concurrent.Callable)
    Platform.runLater(task)
    return task.get()
}

// The parts of a path, whatever its system: lower case, since Windows and macOS do not tell it apart.
def parts = { String path -> path.replace('\\', '/').toLowerCase().split('/').findAll { it } }

def endsLike = { List image, List slide ->
    image.size() >= slide.size() && image.subList(image.size() - slide.size(), image.size()) == slide
}

// The paths of an image's files; a folder of DICOM files is a slide too, so their folders count as well.
def imagePaths = { entry ->
    def paths = []
    entry.getURIs().each { uri ->
        def path = parts(uri.getPath() ?: uri.toString())
        paths << path
        if (path.size() > 1)
            paths << path.subList(0, path.size() - 1)
    }
    return paths
}

def project = QP.getProject()
if (project == null) {
    println 'gloinone: open a project that holds the slides, then run this script again'
    return
}
def out = outFolder()
if (!hasSlides(out)) {
    println "gloinone: no folder \"slides\" in ${out}; set OUT at the top of the script to the folder of the run"
    return
}

def root = new File(out.toString(), 'slides')
def slides = []
root.eachFileRecurse(groovy.io.FileType.FILES) { file ->
    def inside = root.toPath().relativize(file.toPath())
    def hidden = inside.any { it.toString().startsWith('.') }
    // "a.new.geojson" stands beside an "a.geojson" that somebody edited, and that one counts
    def edited = new File(file.parentFile, file.name.replaceFirst(/\.new\d*\.geojson$/, '.geojson'))
    def isSecond = edited.name != file.name && edited.exists()
    if (!hidden && file.name.endsWith('.geojson') && !isSecond) {
        // the folder has the slide's path in the run
        def name = inside.getParent().toString()
        slides << [file: file, name: name, path: parts(name)]
    }
}
slides.sort { it.name }

// Every image goes to the slide that shares most of its path, so that "a.svs" does not take "b/a.svs".
def entries = project.getImageList()
def slideOf = [:]
entries.each { entry ->
    def paths = imagePaths(entry)
    def alike = slides.findAll { slide -> paths.any { endsLike(it, slide.path) } }
    slideOf[entry] = alike.max { it.path.size() }
}
def imagesOf = { slide ->
    def found = entries.findAll { slideOf[it].is(slide) }
    def alone = slides.count { it.path[-1] == slide.path[-1] } == 1
    if (found || !alone)
        return found
    return entries.findAll { entry ->
        slideOf[entry] == null &&
            (entry.getImageName().toLowerCase() == slide.path[-1] ||
                imagePaths(entry).any { endsLike(it, slide.path[-1..-1]) })
    }
}

def openEntry = QP.getProjectEntry()
int imported = 0
def left = []
slides.each { slide ->
    def matching = imagesOf(slide)
    if (matching.size() != 1) {
        left << "${slide.name}: ${matching ? matching.size() + ' images' : 'no image'} of that name"
        return
    }
    def entry = matching[0]
    // the open image is changed where it is shown, else its window would overwrite what is saved here
    def isOpen = openEntry != null && entry == openEntry
    def imageData = isOpen ? QP.getCurrentImageData() : entry.readImageData()
    try {
        def hierarchy = imageData.getHierarchy()
        def known = hierarchy.getAnnotationObjects().collect { it.getID() } as Set
        def found = PathIO.readObjects(slide.file)
        def added = found.findAll { !known.contains(it.getID()) }
        hierarchy.addObjects(added)
        entry.saveImageData(imageData)
        imported += added.size()
        println "${slide.name}: ${added.size()} added, ${found.size() - added.size()} were there"
    } finally {
        if (!isOpen)
            imageData.getServer().close()
    }
}
println "gloinone: ${imported} glomeruli added from ${slides.size()} files"
left.each { println "gloinone: left out: ${it}" }
"""
